/*
 * Mistakes on purpose, for the test of the sanitizers. Only `make asan` compiles this file.
 */
#include "compat.h"
#include "dispatcher_glue.h"

/* Reads behind an array on the stack, where `place` is 16. */
int glue_stack_fault(int place)
{
	volatile char array[16] = {0};
	/* Without a bound that the compiler knows. */
	volatile char *start = array;

	return start[place];
}

/* Overflows, where `number` is the largest one. */
int glue_sum_fault(int number)
{
	return number + 1;
}
