# Prints the defines with which the server's own makefiles would compile a module, one a line,
# already unquoted. Run in the directory of the server's Makefile.defs.

# Makefile.defs sets its variables only for one of its known callers; be the top one.
exported_vars=1
makefile_defs=0
main_makefile=1
FLAVOUR ?= kamailio
MAIN_NAME ?= kamailio
SRC_NAME ?= kamailio

# Makefile.defs sets this only where pkg-config finds libssl; every package is built with it.
LIBSSL_SET_MUTEX_SHARED ?= 1

include Makefile.defs

.DEFAULT_GOAL := print
.PHONY: print
print:
	@for d in $(C_DEFS) $(filter -D%,$(CC_PMUTEX_OPTS)); do printf '%s\n' "$$d"; done
