/*
 * The part of CPython's stable ABI that _native.c uses: names and layouts that
 * hold for CPython 3.8 and everything after it. Declared here, so that the
 * package is built without Python's headers, once for all versions.
 *
 * A test compiles this file together with Python.h, where there is one: the
 * compiler then sees that both say the same.
 *
 * SPDX-License-Identifier: Apache-2.0
 */

#ifndef OUROBOROS_PYABI_H
#define OUROBOROS_PYABI_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifndef Py_PYTHON_H /* else Python.h has said what the types are */

typedef ssize_t Py_ssize_t;
typedef struct _object PyObject;
typedef struct _ts PyThreadState;
typedef enum { PyGILState_LOCKED, PyGILState_UNLOCKED } PyGILState_STATE;

typedef PyObject *(*PyCFunction)(PyObject *, PyObject *);

typedef struct PyMethodDef {
	const char *ml_name;
	PyCFunction ml_meth;
	int         ml_flags;
	const char *ml_doc;
} PyMethodDef;

/* The head of an object: a count of 8 bytes and a type. */
struct _object {
	Py_ssize_t ob_refcnt;
	void      *ob_type;
};

typedef struct PyModuleDef_Base {
	PyObject   ob_base;
	PyObject *(*m_init)(void);
	Py_ssize_t m_index;
	PyObject  *m_copy;
} PyModuleDef_Base;

typedef struct PyModuleDef {
	PyModuleDef_Base m_base;
	const char      *m_name;
	const char      *m_doc;
	Py_ssize_t       m_size;
	PyMethodDef     *m_methods;
	void            *m_slots;
	void            *m_traverse;
	void            *m_clear;
	void            *m_free;
} PyModuleDef;

#define PyModuleDef_HEAD_INIT { { 1, NULL }, NULL, 0, NULL }
#define METH_VARARGS          1
#define METH_NOARGS           4
#define PYTHON_API_VERSION    1013 /* of the objects, since Python 3.0 */
#define PYTHON_ABI_VERSION    3
#define PyMODINIT_FUNC        __attribute__((visibility("default"))) PyObject *

#endif

extern PyObject *PyModule_Create2(PyModuleDef *, int);

extern int   PyArg_ParseTuple(PyObject *, const char *, ...);
extern PyObject *Py_BuildValue(const char *, ...);

extern PyObject *PyBytes_FromStringAndSize(const char *, Py_ssize_t);
extern int       PyBytes_AsStringAndSize(PyObject *, char **, Py_ssize_t *);
extern PyObject *PyLong_FromSsize_t(Py_ssize_t);
extern PyObject *PyLong_FromLong(long);
extern long      PyLong_AsLong(PyObject *);
extern Py_ssize_t PyLong_AsSsize_t(PyObject *);
extern PyObject *PyTuple_GetItem(PyObject *, Py_ssize_t);
extern PyObject *PyList_New(Py_ssize_t);
extern int       PyList_Append(PyObject *, PyObject *);
extern void      Py_DecRef(PyObject *);

extern PyThreadState   *PyEval_SaveThread(void);
extern void             PyEval_RestoreThread(PyThreadState *);
extern PyGILState_STATE PyGILState_Ensure(void);
extern void             PyGILState_Release(PyGILState_STATE);

extern int       PyErr_CheckSignals(void);
extern PyObject *PyErr_Occurred(void);
extern PyObject *PyErr_NoMemory(void);
extern void      PyErr_Fetch(PyObject **, PyObject **, PyObject **);
extern void      PyErr_Restore(PyObject *, PyObject *, PyObject *);

#endif
