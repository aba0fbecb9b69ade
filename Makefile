# make            all commands into bin/
# make lib        the C library into build/lib; needs a C compiler
# make python     the Python package, a wheel, into build; needs the same
# make test       vet, and all tests with the race detector
# make fuzz       every fuzz target for FUZZTIME (5s)
# make check      all of it, as a bare machine does: scripts/check
# make bench      benchmarks, into the terminal
# make bench-c    what a message costs a C program
# make soak       the long tests: kill, restart and flood, ROUNDS (200) times
# make demo       a recursive network of three nodes: see README.md
# make man        manual pages into build/man
# make install    to PREFIX (/usr/local), below DESTDIR when set
# make clean

GO       ?= go
PYTHON   ?= python3
MANDIR   ?= build/man
PREFIX   ?= /usr/local
DESTDIR  ?=
FUZZTIME ?= 5s
ROUNDS   ?= 200
BENCH    ?= .

bindir      = $(PREFIX)/bin
sbindir     = $(PREFIX)/sbin
mandir      = $(PREFIX)/share/man
docdir      = $(PREFIX)/share/doc/ouroboros
sysconfdir ?= /etc
# systemd reads units, sysusers and tmpfiles below /usr/lib and /usr/local/lib.
libdir      = $(PREFIX)/lib

# The commit is stamped in when this is a checkout and git is at hand.
VERSION  := $(shell git describe --tags --always --dirty 2>/dev/null)
LDFLAGS  ?= -s -w
STAMP     = $(if $(VERSION),-X ouroboros/internal/daemon.commit=$(VERSION))
GOFLAGS_B = -trimpath -buildvcs=false -ldflags "$(LDFLAGS) $(STAMP)"

# The C library: libouroboros.so.LIBABI is the library itself, the others have
# the names that those of the C implementation have, with the version of its
# interface. One built outside of git calls that 0.0.
LIBOUT   ?= build/lib
LIBABI    = 0
DEVABI    = 0.23
THIN      = common dev irm
CC       ?= cc
CFLAGS   ?= -O2 -g
HEADERS  := $(wildcard include/ouroboros/*.h)
LIBFLAGS  = -trimpath -buildvcs=false -ldflags "$(LDFLAGS) $(STAMP) -X runtime.godebugDefault=asyncpreemptoff=1 -extldflags \
	'-Wl,-soname,libouroboros.so.$(LIBABI) -Wl,--version-script=$(CURDIR)/capi/libouroboros.map'"
includedir = $(PREFIX)/include

COMMANDS := $(notdir $(patsubst %/,%,$(dir $(wildcard cmd/*/main.go))))
SBIN     := irmd

.PHONY: all build lib install-lib test check python demo vet fuzz bench bench-c soak man completions install uninstall clean

all: build

build:
	@mkdir -p bin
	$(GO) build $(GOFLAGS_B) -o bin/ ./cmd/...

lib:
	@mkdir -p $(LIBOUT)
	CGO_ENABLED=1 $(GO) build -buildmode=c-shared $(LIBFLAGS) -o $(LIBOUT)/libouroboros.so.$(LIBABI) ./capi
	@rm -f $(LIBOUT)/libouroboros.so.h
	@ln -sf libouroboros.so.$(LIBABI) $(LIBOUT)/libouroboros.so
	@set -e; for l in $(THIN); do \
		src=capi/front/$$l.c; needs="$(LIBOUT)/libouroboros-common.so.$(DEVABI)"; \
		[ $$l != common ] || { src=capi/front/load.c; needs=-ldl; }; \
		echo $(CC) -o $(LIBOUT)/libouroboros-$$l.so.$(DEVABI); \
		$(CC) $(CFLAGS) -Wall -Wextra -std=gnu11 -fPIC -fvisibility=hidden -Iinclude -Icapi -shared \
			-Wl,-soname,libouroboros-$$l.so.$(DEVABI) -Wl,-rpath,'$$ORIGIN' -Wl,--no-undefined \
			-o $(LIBOUT)/libouroboros-$$l.so.$(DEVABI) $$src $$needs -lpthread; \
		ln -sf libouroboros-$$l.so.$(DEVABI) $(LIBOUT)/libouroboros-$$l.so; \
		ln -sf libouroboros-$$l.so.$(DEVABI) $(LIBOUT)/libouroboros-$$l.so.0.0; \
	done

# A wheel for every CPython from 3.8 on.
python:
	$(PYTHON) python/setup.py bdist_wheel --dist-dir build

vet:
	$(GO) vet ./...

test: vet
	$(GO) test -race -shuffle=on -short ./...

check:
	scripts/check

demo:
	scripts/demo

# Each fuzz target that the tests list, one after the other: the fuzzer of Go
# takes one at a time.
fuzz:
	@set -e; for pkg in $$(grep -rl --include='*_test.go' '^func Fuzz' . | xargs -n1 dirname | sort -u); do \
		for target in $$(grep -hoE '^func Fuzz[A-Za-z0-9_]+' $$pkg/*_test.go | cut -d' ' -f2 | sort -u); do \
			echo "== $$pkg $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$pkg; \
		done; \
	done

# The figures of docs/performance.md, with their yardsticks; then those of the
# parts.
bench:
	$(GO) run ./test/bench
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem ./...

# The same for C programs: docs/performance.md, section "C and Python".
bench-c: build lib
	$(CC) -O2 -Wall -Iinclude capi/bench/bench.c -o build/bench-c -L$(LIBOUT) -louroboros-dev -louroboros-irm
	@set -e; dir=$$(mktemp -d); export OUROBOROS_RUNTIME_DIR=$$dir; bin/irmd --stdout > $$dir/log & \
		daemon=$$!; trap 'kill $$daemon; rm -rf '$$dir EXIT; \
		until OUROBOROS_RUNTIME_DIR=$$dir bin/irm status > /dev/null 2>&1; do sleep 0.1; done; \
		OUROBOROS_RUNTIME_DIR=$$dir LD_LIBRARY_PATH=$(LIBOUT) build/bench-c

# What scripts/check does a few times, ROUNDS times.
soak:
	OUROBOROS_SOAK=1 OUROBOROS_ROUNDS=$(ROUNDS) $(GO) test -count 1 -timeout 60m -v ./test ./test/interop

# The pages of irm come from its grammar, the others from docs/commands. A page
# of the C library is found by each of the names in its first line.
namesof = sed -n '/^\# NAME/{n;n;s/ - .*//;s/,//g;p;}' $(1)

man:
	@mkdir -p $(MANDIR)
	@set -e; for page in docs/commands/*.[1-8].md; do \
		$(GO) tool go-md2man -in "$$page" -out $(MANDIR)/$$(basename "$$page" .md); \
	done
	@set -e; for page in docs/commands/*.3.md; do \
		own=$$(basename $$page .3.md); \
		for name in $$($(call namesof,$$page)); do \
			[ $$name = $$own ] || echo ".so man3/$$own.3" > $(MANDIR)/$$name.3; \
		done; \
	done
	@$(GO) run ./cmd/irm help --man > $(MANDIR)/irm.1

completions: build
	@mkdir -p build/completion
	@set -e; for shell in bash zsh fish; do bin/irm completion $$shell > build/completion/irm.$$shell; done

# With a C compiler the library is installed with everything else.
HAVE_CC := $(shell command -v $(CC) 2>/dev/null)

install: build man completions $(if $(HAVE_CC),install-lib,without-lib)
	install -d $(DESTDIR)$(bindir) $(DESTDIR)$(sbindir)
	@set -e; for c in $(COMMANDS); do \
		case " $(SBIN) " in *" $$c "*) dir=$(sbindir);; *) dir=$(bindir);; esac; \
		echo install $(DESTDIR)$$dir/$$c; \
		install -m 755 bin/$$c $(DESTDIR)$$dir/$$c; \
	done
	@set -e; for page in $(MANDIR)/*.[1-8]; do [ -e "$$page" ] || continue; \
		section=$${page##*.}; \
		install -d $(DESTDIR)$(mandir)/man$$section; \
		install -m 644 $$page $(DESTDIR)$(mandir)/man$$section/; \
	done
	install -d $(DESTDIR)$(PREFIX)/share/bash-completion/completions \
		$(DESTDIR)$(PREFIX)/share/zsh/site-functions \
		$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
	install -m 644 build/completion/irm.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/irm
	install -m 644 build/completion/irm.zsh $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_irm
	install -m 644 build/completion/irm.fish $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/irm.fish
	install -d $(DESTDIR)$(libdir)/systemd/system $(DESTDIR)$(libdir)/systemd/user $(DESTDIR)$(libdir)/sysusers.d
	sed -e 's|@sbindir@|$(sbindir)|g' -e 's|@sysconfdir@|$(sysconfdir)|g' packaging/irmd.service.in \
		> $(DESTDIR)$(libdir)/systemd/system/irmd.service
	sed -e 's|@sbindir@|$(sbindir)|g' packaging/irmd.user.service.in \
		> $(DESTDIR)$(libdir)/systemd/user/irmd.service
	install -m 644 packaging/ouroboros.sysusers $(DESTDIR)$(libdir)/sysusers.d/ouroboros.conf
	install -d $(DESTDIR)$(sysconfdir)/ouroboros
	install -m 644 packaging/irmd.toml.example $(DESTDIR)$(sysconfdir)/ouroboros/irmd.toml.example
	@[ -e $(DESTDIR)$(sysconfdir)/ouroboros/irmd.toml ] || \
		install -m 644 packaging/irmd.toml.example $(DESTDIR)$(sysconfdir)/ouroboros/irmd.toml
	install -d $(DESTDIR)$(docdir)/docs/commands
	@set -e; for f in README.md LICENSE docs/*.md docs/commands/*.md; do \
		install -m 644 $$f $(DESTDIR)$(docdir)/$$f; \
	done

.PHONY: without-lib
without-lib:
	@echo "no C compiler: the C library is not installed; install gcc or clang for it"

PACKAGES = pkgconfig/ouroboros-dev.pc pkgconfig/ouroboros-irm.pc \
	cmake/Ouroboros/OuroborosConfig.cmake cmake/Ouroboros/OuroborosConfigVersion.cmake

install-lib: lib
	install -d $(DESTDIR)$(libdir)/pkgconfig $(DESTDIR)$(libdir)/cmake/Ouroboros $(DESTDIR)$(includedir)/ouroboros
	@set -e; for l in $(LIBOUT)/libouroboros*; do \
		echo install $(DESTDIR)$(libdir)/$$(basename $$l); \
		if [ -L $$l ]; then cp -fPR $$l $(DESTDIR)$(libdir)/; \
		else install -m 755 $$l $(DESTDIR)$(libdir)/; fi; \
	done
	install -m 644 $(HEADERS) $(DESTDIR)$(includedir)/ouroboros/
	@set -e; for f in $(PACKAGES); do \
		sed -e 's|@prefix@|$(PREFIX)|g; s|@libdir@|$(libdir)|g; s|@includedir@|$(includedir)|g; s|@version@|0.23.0|g' \
			packaging/$$(basename $$f).in > $(DESTDIR)$(libdir)/$$f; \
	done

uninstall:
	rm -f $(DESTDIR)$(libdir)/libouroboros.so* $(DESTDIR)$(libdir)/libouroboros-*.so*
	rm -f $(addprefix $(DESTDIR)$(libdir)/,$(PACKAGES))
	rm -rf $(DESTDIR)$(includedir)/ouroboros $(DESTDIR)$(libdir)/cmake/Ouroboros
	@for c in $(COMMANDS); do rm -f $(DESTDIR)$(bindir)/$$c $(DESTDIR)$(sbindir)/$$c; done
	rm -f $(DESTDIR)$(libdir)/systemd/system/irmd.service $(DESTDIR)$(libdir)/systemd/user/irmd.service \
		$(DESTDIR)$(libdir)/sysusers.d/ouroboros.conf \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions/irm \
		$(DESTDIR)$(PREFIX)/share/zsh/site-functions/_irm \
		$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/irm.fish
	@for page in docs/commands/*.[1-8].md; do page=$${page%.md}; \
		rm -f $(DESTDIR)$(mandir)/man$${page##*.}/$$(basename $$page); \
	done
	@for page in docs/commands/*.3.md; do for name in $$($(call namesof,$$page)); do \
		rm -f $(DESTDIR)$(mandir)/man3/$$name.3; \
	done; done
	rm -f $(DESTDIR)$(mandir)/man1/irm.1
	rm -f $(DESTDIR)$(sysconfdir)/ouroboros/irmd.toml.example
	rm -rf $(DESTDIR)$(docdir)

clean:
	rm -rf bin build
