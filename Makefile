# Diolkos Mesh. One non-recursive Makefile; objects go to $(BUILD), programs and libraries to $(BIN).
#
#   make            build everything          make SAN=address,undefined   a sanitizer build (own folder)
#   make unit       build and run unit tests  make V=1                     show commands

CC ?= cc
SAN ?=
ARCH := $(firstword $(subst -, ,$(shell $(CC) -dumpmachine)))
comma := ,
VARIANT := $(ARCH)$(if $(SAN),-$(subst $(comma),-,$(SAN)))
BUILD ?= build/$(VARIANT)
BIN ?= $(if $(SAN),$(BUILD)/bin,bin)
Q := $(if $(V),,@)

WARNINGS := -Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Werror
CFLAGS ?= -O2 -g
# The arithmetic is part of the interface: no contraction, no fast-math. errno and trap flags are not.
override CFLAGS += -std=c17 $(WARNINGS) -ffp-contract=off -fno-math-errno -fno-trapping-math -fPIC -pthread
CPPFLAGS += -D_GNU_SOURCE -Ilibmesh/include
LDLIBS += -lm -pthread
ifneq ($(SAN),)
override CFLAGS += -fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all
override LDFLAGS += -fsanitize=$(SAN)
endif

LIBMESH_SRC := $(wildcard libmesh/*.c)
NODE_SRC := $(wildcard node/*.c)
TEST_SRC := $(wildcard tests/unit/test_*.c)
TEST_HELP_SRC := $(filter-out $(TEST_SRC),$(wildcard tests/unit/*.c))

obj = $(patsubst %.c,$(BUILD)/%.o,$(1))
LIBMESH_OBJ := $(call obj,$(LIBMESH_SRC))
NODE_OBJ := $(call obj,$(filter-out node/main.c,$(NODE_SRC)))
TEST_BIN := $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(TEST_SRC))

PROGRAMS := $(if $(wildcard node/main.c),$(BIN)/mesh-node)

all: $(BIN)/libmesh.a $(PROGRAMS)

# One instruction set per file; the dispatcher asks the CPU before it calls into one.
$(BUILD)/node/kernel_scalar.o: CFLAGS += -O3
ifeq ($(ARCH),x86_64)
$(BUILD)/node/kernel_avx2.o: CFLAGS += -O3 -mavx2 -mfma -mf16c
$(BUILD)/node/kernel_avx512.o: CFLAGS += -O3 -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512vnni -mfma -mf16c -mprefer-vector-width=512
endif
ifeq ($(ARCH),aarch64)
$(BUILD)/node/kernel_neon.o: CFLAGS += -O3 -march=armv8.2-a+dotprod
endif

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(if $(Q),@echo "  CC    $<")
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(BIN)/libmesh.a: $(LIBMESH_OBJ)
	@mkdir -p $(@D)
	$(if $(Q),@echo "  AR    $@")
	$(Q)rm -f $@ && ar rcs $@ $^

$(BIN)/mesh-node: $(BUILD)/node/main.o $(NODE_OBJ) $(BIN)/libmesh.a
	$(if $(Q),@echo "  LD    $@")
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(BUILD)/tests/%: $(BUILD)/tests/unit/%.o $(call obj,$(TEST_HELP_SRC)) $(NODE_OBJ) $(BIN)/libmesh.a
	@mkdir -p $(@D)
	$(if $(Q),@echo "  LD    $@")
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -lcmocka $(LDLIBS)
$(call obj,$(TEST_SRC) $(TEST_HELP_SRC)): CPPFLAGS += -I.

unit: $(TEST_BIN)
	@set -e; for t in $(TEST_BIN); do echo "== $$t"; $$t; done

clean:
	rm -rf build bin

.PHONY: all unit clean
.SECONDARY:
-include $(shell find build -name '*.d' 2>/dev/null)
