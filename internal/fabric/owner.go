package fabric

import "ouroboros/internal/registry"

// Owner holds the rings of one process, as the registry sees it. The Fabric
// guards its fields.
type Owner struct {
	f      *Fabric
	name   string
	unlink func(link uint64, side int) // nil for a process of this program

	links map[*link]struct{}
	idle  int // links without flows
	left  bool
}

var _ registry.Owner = (*Owner)(nil)

// NewLocal gives the owner for a process in this program. name is for logs.
func (f *Fabric) NewLocal(name string) *Owner { return f.NewRemote(name, nil) }

// NewRemote gives the owner for a process in another program, to which
// descriptors are passed. unlink is told when the process can give a link
// back that it was passed: no flow will use it any more. unlink must not
// block.
func (f *Fabric) NewRemote(name string, unlink func(link uint64, side int)) *Owner {
	return &Owner{f: f, name: name, unlink: unlink, links: make(map[*link]struct{})}
}

// OwnerName implements registry.Owner.
func (o *Owner) OwnerName() string { return o.name }

// remote reports whether the process is in another program.
func (o *Owner) remote() bool { return o.unlink != nil }

// Leave says that the process is gone. Its links go as soon as the other
// sides have deallocated their flows; new flows cannot be made.
func (o *Owner) Leave() {
	f := o.f
	f.mu.Lock()
	o.left = true
	var done cleanup
	for l := range o.links {
		f.retire(l, &done)
	}
	f.mu.Unlock()
	done.run()
}
