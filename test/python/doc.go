// Package python runs the tests of the Python package as a user has it:
// installed by pip in a virtual environment, without an index, against real
// daemons. It is skipped where Python cannot make such an environment.
package python
