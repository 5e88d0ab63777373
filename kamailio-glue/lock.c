/*
 * The server's lock between processes.
 */
#include "compat.h"
#include "locking.h"
#include "dispatcher_glue.h"

/* Rust starts a lock as zeroed memory, so zero must mean unlocked. */
#if !defined(USE_FUTEX) && !defined(FAST_LOCK)
#error "this server was built with a lock kind that does not start as zeroes"
#endif

/* Inline: futex or spin lock in assembler. */
void glue_lock_get(gen_lock_t *lock)
{
	lock_get(lock);
}

/* Inline: futex or spin lock in assembler. The server's own function returns 0 for success. */
int glue_lock_try(gen_lock_t *lock)
{
	return lock_try(lock) == 0;
}

/* Inline: futex or spin lock in assembler. */
void glue_lock_release(gen_lock_t *lock)
{
	lock_release(lock);
}
