/*
 * The calls of the library that are made for every message, without the cost
 * of ctypes. They give what the library gives: bytes or numbers, negative for
 * an error; ouroboros.dev makes exceptions of those.
 *
 *     connect(read, write, fevent, fqueue_next, fqueue_type, on_interrupt)
 *         addresses of the functions of the library
 *     read(fd, count) -> bytes or a negative number
 *     write(fd, bytes, count) -> count or a negative number
 *     events(set, queue, seconds, nanoseconds) -> [(fd, type)] or a negative
 *         number; negative seconds wait for ever
 *     rethrow() raises what a signal handler raised in a call that gave -EINTR
 *
 * The interpreter lock is released in each. A signal that comes while a call
 * sleeps is handled then: when its handler raises, as that of Ctrl-C does, the
 * call ends.
 *
 * SPDX-License-Identifier: Apache-2.0
 */

#ifdef WITH_PYTHON_H
#define Py_LIMITED_API 0x03080000
#include <Python.h>
#endif

#include "_pyabi.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

static struct {
	ssize_t (*read)(int, void *, size_t);
	ssize_t (*write)(int, const void *, size_t);
	ssize_t (*fevent)(void *, void *, const struct timespec *);
	int (*fqueue_next)(void *);
	int (*fqueue_type)(void *);
	void (*on_interrupt)(int (*)(void));
} lib;

/* What a signal handler raised in this thread, until it is raised again. */
static __thread struct {
	PyObject *type, *value, *traceback;
} raised;

/* Is called by the library, without the interpreter lock. */
static int look_for_signals(void)
{
	PyGILState_STATE s = PyGILState_Ensure();
	int              r = PyErr_CheckSignals();

	if (r != 0)
		PyErr_Fetch(&raised.type, &raised.value, &raised.traceback);
	PyGILState_Release(s);
	return r;
}

static int rethrow(void)
{
	if (raised.type == NULL)
		return 0;
	PyErr_Restore(raised.type, raised.value, raised.traceback);
	raised.type = raised.value = raised.traceback = NULL;
	return 1;
}

static PyObject *native_rethrow(PyObject *self, PyObject *args)
{
	(void) self;
	(void) args;
	return rethrow() ? NULL : PyLong_FromLong(0);
}

static PyObject *native_connect(PyObject *self, PyObject *args)
{
	unsigned long long a[6];

	(void) self;
	if (!PyArg_ParseTuple(args, "KKKKKK", &a[0], &a[1], &a[2], &a[3], &a[4], &a[5]))
		return NULL;
	lib.read         = (ssize_t (*)(int, void *, size_t)) (uintptr_t) a[0];
	lib.write        = (ssize_t (*)(int, const void *, size_t)) (uintptr_t) a[1];
	lib.fevent       = (ssize_t (*)(void *, void *, const struct timespec *)) (uintptr_t) a[2];
	lib.fqueue_next  = (int (*)(void *)) (uintptr_t) a[3];
	lib.fqueue_type  = (int (*)(void *)) (uintptr_t) a[4];
	lib.on_interrupt = (void (*)(int (*)(void))) (uintptr_t) a[5];
	lib.on_interrupt(look_for_signals);
	return PyLong_FromLong(0);
}

/* A number, or the exception that ended a call. */
static PyObject *result(ssize_t r)
{
	if (r == -EINTR && rethrow())
		return NULL;
	return PyLong_FromSsize_t(r);
}

/* Buffers up to here are on the stack. */
#define SMALL 8192

static PyObject *native_read(PyObject *self, PyObject *args)
{
	char           small[SMALL];
	char          *buf = small;
	long           fd;
	Py_ssize_t     count;
	ssize_t        r;
	PyThreadState *s;
	PyObject      *given;

	(void) self;
	fd    = PyLong_AsLong(PyTuple_GetItem(args, 0));
	count = PyLong_AsSsize_t(PyTuple_GetItem(args, 1));
	if (PyErr_Occurred() != NULL)
		return NULL;
	if (count < 0)
		return PyLong_FromLong(-EINVAL);
	if (count > SMALL && (buf = malloc((size_t) count)) == NULL)
		return PyErr_NoMemory();

	s = PyEval_SaveThread();
	r = lib.read((int) fd, buf, (size_t) count);
	PyEval_RestoreThread(s);

	given = r < 0 ? result(r) : PyBytes_FromStringAndSize(buf, r);
	if (buf != small)
		free(buf);
	return given;
}

static PyObject *native_write(PyObject *self, PyObject *args)
{
	char          *buf;
	long           fd;
	Py_ssize_t     length, count;
	ssize_t        r;
	PyThreadState *s;
	PyObject      *bytes = PyTuple_GetItem(args, 1);

	(void) self;
	if (bytes == NULL || PyBytes_AsStringAndSize(bytes, &buf, &length) != 0)
		return NULL;
	fd    = PyLong_AsLong(PyTuple_GetItem(args, 0));
	count = PyLong_AsSsize_t(PyTuple_GetItem(args, 2));
	if (PyErr_Occurred() != NULL)
		return NULL;
	if (count < 0)
		return PyLong_FromLong(-EINVAL);
	if (count > length)
		count = length;

	s = PyEval_SaveThread();
	r = lib.write((int) fd, buf, (size_t) count);
	PyEval_RestoreThread(s);
	return result(r);
}

static PyObject *native_events(PyObject *self, PyObject *args)
{
	unsigned long long set, queue;
	long long          seconds, nanoseconds;
	struct timespec    t;
	ssize_t            r;
	int                fd;
	PyThreadState     *s;
	PyObject          *list;

	(void) self;
	if (!PyArg_ParseTuple(args, "KKLL", &set, &queue, &seconds, &nanoseconds))
		return NULL;
	t.tv_sec  = (time_t) seconds;
	t.tv_nsec = (long) nanoseconds;

	s = PyEval_SaveThread();
	r = lib.fevent((void *) (uintptr_t) set, (void *) (uintptr_t) queue,
		       seconds < 0 ? NULL : &t);
	PyEval_RestoreThread(s);
	if (r < 0)
		return result(r);

	list = PyList_New(0);
	while (list != NULL && (fd = lib.fqueue_next((void *) (uintptr_t) queue)) >= 0) {
		PyObject *e = Py_BuildValue("(ii)", fd, lib.fqueue_type((void *) (uintptr_t) queue));

		if (e == NULL || PyList_Append(list, e) != 0) {
			Py_DecRef(list);
			list = NULL;
		}
		Py_DecRef(e);
	}
	return list;
}

static PyMethodDef methods[] = {
	{ "connect", native_connect, METH_VARARGS, NULL },
	{ "read", native_read, METH_VARARGS, NULL },
	{ "write", native_write, METH_VARARGS, NULL },
	{ "events", native_events, METH_VARARGS, NULL },
	{ "rethrow", native_rethrow, METH_NOARGS, NULL },
	{ NULL, NULL, 0, NULL }
};

static PyModuleDef module = {
	PyModuleDef_HEAD_INIT, "_native", NULL, -1, methods, NULL, NULL, NULL, NULL
};

PyMODINIT_FUNC PyInit__native(void)
{
	return PyModule_Create2(&module, PYTHON_ABI_VERSION);
}
