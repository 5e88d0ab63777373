/*
 * The server's shared memory.
 */
#include "compat.h"
#include "mem/shm.h"
#include "dispatcher_glue.h"

/* Macro: the number of arguments of the pool's functions depends on DBG_SR_MEMORY. */
void *glue_shm_malloc(size_t size)
{
	return shm_malloc(size);
}

/* Macro: the number of arguments depends on DBG_SR_MEMORY here, too. */
void glue_shm_free(void *p)
{
	shm_free(p);
}

/* Macro: calls the function of the allocator that the command line chose. */
unsigned long glue_shm_size(void)
{
	struct mem_info info = {0};

	shm_info(&info);
	return info.total_size;
}
