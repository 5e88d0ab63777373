/*
 * The counters of the module in the server's own framework, group "dispatcher".
 */
#include "compat.h"
#include "counters.h"
#include "dispatcher_glue.h"

#define GROUP "dispatcher"

/* Here because the type of a handle is a struct. */
static counter_val_t glue_counter_read(counter_handle_t handle, void *what)
{
	return dsr_counter_value((int)(long)what);
}

/* Likewise. */
int glue_counter_add(const char *name, const char *doc)
{
	counter_handle_t handle;

	return counter_register(&handle, GROUP, name, 0, NULL, NULL, doc, 0) < 0 ? -1 : handle.id;
}

/* Likewise. */
int glue_counter_show(const char *name, const char *doc, int what)
{
	counter_handle_t handle;

	return counter_register(&handle, GROUP, name, CNT_F_NO_RESET, glue_counter_read, (void *)(long)what,
			doc, 0);
}

/* Here because the type of a handle is a struct. */
long glue_counter_sum(int id)
{
	counter_handle_t handle = {(unsigned short)id};

	return counter_get_val(handle);
}

/* Macro: the table of the counters of all processes. */
long *glue_counter_cell(int id)
{
	counter_handle_t handle = {(unsigned short)id};

	return &counter_pprocess_val(process_no, handle);
}
