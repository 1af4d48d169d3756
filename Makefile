# Diolkos Mesh. One Makefile, not recursive: objects go to $(BUILD), programs and libraries to $(BIN).
# `make help` lists the targets. Variables worth setting: CC, CFLAGS, SAN, PREFIX, LIBDIR, DOCDIR, DESTDIR, V=1.

override VERSION := $(shell sed -n 's/.*MESH_VERSION "\(.*\)"/\1/p' libmesh/include/mesh/version.h)
SOVERSION := 0

CC ?= cc
AR ?= ar
SAN ?=
PREFIX ?= /usr/local
DESTDIR ?=
# Where a system keeps libraries of several kinds of machines: lib/x86_64-linux-gnu and the like, below PREFIX unless it begins with "/".
LIBDIR ?= lib
override LIBDIR := $(if $(filter /%,$(LIBDIR)),,$(PREFIX)/)$(LIBDIR)
UNITDIR ?= $(PREFIX)/lib/systemd/system
WIRESHARKDIR ?= $(LIBDIR)/wireshark/plugins
DOCDIR ?= $(PREFIX)/share/doc/libmesh
ZSHDIR ?= $(PREFIX)/share/zsh/site-functions
DEB_REVISION ?= 1
FUZZ_CC ?= clang
FUZZ_SECONDS ?= 20
comma := ,
HOST_ARCH := $(shell uname -m)
MACHINE := $(shell $(CC) -dumpmachine 2>/dev/null)
ARCH := $(or $(firstword $(subst -, ,$(MACHINE))),$(HOST_ARCH))
MUSL := $(findstring musl,$(CC) $(MACHINE))
VARIANT := $(ARCH)$(if $(SAN),-$(subst $(comma),-,$(SAN)))
BUILD ?= build/$(VARIANT)
# Only the plain build for this machine goes to bin/; sanitizer and cross builds keep to their own folder.
BIN ?= $(if $(SAN)$(filter-out $(HOST_ARCH),$(ARCH)),$(BUILD)/bin,bin)
Q := $(if $(V),,@)
quiet := $(findstring s,$(firstword -$(MAKEFLAGS)))
say = $(if $(V)$(quiet),,@printf '  %-5s %s\n' $(1) '$(2)')

# ---- flags ----

# With other CFLAGS the optimiser finds other things to warn of. make WERROR= : for compilers that warn of more with the default ones, too.
WERROR ?= $(if $(filter undefined,$(origin CFLAGS)),-Werror)
WARNINGS := -Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla $(WERROR)
WARNINGS += $(if $(MUSL),-Wno-sign-conversion) # of musl's headers: int for sizes of messages, CMSG_NXTHDR
WARNINGS += $(if $(findstring clang,$(CC)),-Wno-string-conversion) # of clang's -Wconversion: assert(!"text")
CFLAGS ?= $(if $(SAN),-O1 -g1,-O2 -g)
# The arithmetic is part of the interface: no contraction, no fast-math. errno and trap flags are not.
override CFLAGS += -std=c17 $(WARNINGS) -ffp-contract=off -fno-math-errno -fno-trapping-math -fPIC -pthread
override CPPFLAGS += -D_GNU_SOURCE -Ilibmesh/include
override LDLIBS += -lm -pthread
# musl gives threads 128 KiB of stack unless the program asks for more.
override LDFLAGS += $(if $(MUSL),-Wl$(comma)-z$(comma)stack-size=8388608)

# Sealing needs libsodium, everything else works without it (docs/adr/0006): SODIUM is empty where the target has none, or by request (make
# SODIUM=). A cross build asks its own pkg-config, aarch64-linux-gnu-pkg-config and the like.
PKG_CONFIG ?= $(if $(filter-out $(HOST_ARCH),$(ARCH)),$(patsubst %gcc,%pkg-config,$(firstword $(CC))),pkg-config)
ifeq ($(origin SODIUM),undefined)
SODIUM := $(shell $(PKG_CONFIG) --exists libsodium 2>/dev/null && echo yes)
endif
ifneq ($(SODIUM),)
SODIUM_CFLAGS := $(shell $(PKG_CONFIG) --cflags libsodium)
SODIUM_LIBS := $(shell $(PKG_CONFIG) --libs $(if $(findstring -static,$(LDFLAGS)),--static) libsodium)
override CPPFLAGS += -DMESH_HAVE_SODIUM $(SODIUM_CFLAGS)
override LDLIBS := $(SODIUM_LIBS) $(LDLIBS)
endif

# libgcrypt seals with AES where processors have instructions for it (docs/adr/0016): optional in the same way.
ifeq ($(origin GCRYPT),undefined)
GCRYPT := $(shell $(PKG_CONFIG) --exists libgcrypt 2>/dev/null && echo yes)
endif
ifneq ($(GCRYPT),)
override CPPFLAGS += -DMESH_HAVE_GCRYPT $(shell $(PKG_CONFIG) --cflags libgcrypt)
override LDLIBS := $(shell $(PKG_CONFIG) --libs $(if $(findstring -static,$(LDFLAGS)),--static) libgcrypt) $(LDLIBS)
endif

# Intel's library does the same faster, on x86-64 (docs/adr/0018): optional, too. Debian's package of it has no file for pkg-config, so it
# is looked for where Debian has it, and only by builds for the machine itself; versions 1 and 2 have the calls that are used. IPSEC_MB=yes:
# the compiler finds it elsewhere.
ifeq ($(origin IPSEC_MB),undefined)
IPSEC_MB_HEADER := $(if $(filter x86_64,$(filter $(HOST_ARCH),$(ARCH))),$(if $(MUSL),,/usr/include/intel-ipsec-mb.h))
IPSEC_MB := $(if $(IPSEC_MB_HEADER),$(shell grep -qs "IMB_VERSION_NUM 0x[12]....$$" $(IPSEC_MB_HEADER) && echo yes))
endif
ifneq ($(IPSEC_MB),)
override CPPFLAGS += -DMESH_HAVE_IPSEC_MB
override LDLIBS := -lIPSec_MB $(LDLIBS)
endif

# The monitor draws with ncurses (wide). Without it, as in cross builds, it can only print (NCURSES is empty).
ifeq ($(origin NCURSES),undefined)
NCURSES := $(shell $(PKG_CONFIG) --exists ncursesw 2>/dev/null && echo yes)
endif
ifneq ($(NCURSES),)
NCURSES_CFLAGS := $(filter -I%,$(shell $(PKG_CONFIG) --cflags ncursesw)) -DMONITOR_HAVE_NCURSES
NCURSES_LIBS := $(shell $(PKG_CONFIG) --libs $(if $(findstring -static,$(LDFLAGS)),--static) ncursesw)
endif

# HTTP needs libmicrohttpd: --metrics by itself, and the API with jansson, to read requests. Optional in the same way.
MICROHTTPD ?= $(shell $(PKG_CONFIG) --exists libmicrohttpd 2>/dev/null && echo yes)
JANSSON ?= $(shell $(PKG_CONFIG) --exists jansson 2>/dev/null && echo yes)
HTTP := $(if $(MICROHTTPD),libmicrohttpd)
API := $(if $(HTTP),$(if $(JANSSON),jansson))
ifneq ($(HTTP),)
override CPPFLAGS += -DMESH_HAVE_MICROHTTPD $(if $(API),-DMESH_HAVE_API) $(shell $(PKG_CONFIG) --cflags $(HTTP) $(API))
NODE_LIBS := $(shell $(PKG_CONFIG) --libs $(if $(findstring -static,$(LDFLAGS)),--static) $(HTTP) $(API))
endif
# The dissector captures and reads files with libpcap; without libpcap only its parsers are built.
ifeq ($(origin PCAP),undefined)
PCAP := $(shell $(PKG_CONFIG) --exists libpcap 2>/dev/null && echo yes)
endif
PCAP_LIBS := $(if $(PCAP),$(shell $(PKG_CONFIG) --libs $(if $(findstring -static,$(LDFLAGS)),--static) libpcap))

# The trace store needs sqlite3, zstd and xxhash; without them there are no traces, and no mesh-replay (TRACE is empty).
ifeq ($(origin TRACE),undefined)
TRACE := $(shell $(PKG_CONFIG) --exists sqlite3 libzstd libxxhash 2>/dev/null && echo yes)
endif
ifneq ($(TRACE),)
override CPPFLAGS += -DMESH_HAVE_TRACE
TRACE_LIBS := $(shell $(PKG_CONFIG) --libs $(if $(findstring -static,$(LDFLAGS)),--static) sqlite3 libzstd libxxhash)
override LDLIBS := $(TRACE_LIBS) $(LDLIBS)
endif

ifneq ($(SAN),)
# In instrumented code the compiler knows less about ranges, so it warns of harmless conversions: the plain build decides.
WARNINGS += -Wno-error -Wno-conversion $(if $(findstring clang,$(CC)),,-Wno-maybe-uninitialized)
override CFLAGS += -fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all
override LDFLAGS += -fsanitize=$(SAN)
endif

# The kernels are large inlined functions. Fully instrumented they take minutes to compile, so sanitizer builds call the address checks
# instead of inlining them and leave out those of pointers. Plain builds have lines in their debugging information, but no variables, which
# take as long as half of the rest.
KERNEL_O := -O3 $(if $(filter -g%,$(CFLAGS)),-g1)
ifneq ($(findstring address,$(SAN)),)
KERNEL_O := -O1 -fno-sanitize=null,alignment,object-size,pointer-overflow \
	$(if $(findstring clang,$(CC)),-mllvm,--param) $(if $(findstring clang,$(CC)),-)asan-instrumentation-with-call-threshold=0
else ifneq ($(SAN),)
KERNEL_O := -O1
endif
# Fuzzers look for errors in parsers: kernels need no coverage counters. The hash of a core's state is only compared, and takes most of the
# time of fuzz_datagram: it is not looked at.
ifneq ($(findstring fuzzer,$(SAN)),)
KERNEL_O += -fno-sanitize=fuzzer-no-link
FLAGS_state_hash := -O2 -fno-sanitize=all
FLAGS_cluster_state := $(FLAGS_state_hash)
endif

# One instruction set per file; the dispatcher asks the CPU before it calls into one. The position of a loop within a cache line is
# worth 5 %, and must not depend on what is linked before it.
KERNEL_O += -falign-functions=64
# Kernels are compiled without a packager's protection against buffer overflows: their sizes come from the program, not from strangers, and
# it costs 3 % of prompts, all of it in kernel_kv. Everything else gets it where requested.
UNGUARDED := -fno-stack-protector -U_FORTIFY_SOURCE
KERNEL_O += $(UNGUARDED)
FLAGS_kernel_kv := $(UNGUARDED)
FLAGS_kernel_scalar := $(KERNEL_O)
FLAGS_panel := $(KERNEL_O)
FLAGS_panel_gguf := $(KERNEL_O)
ifeq ($(ARCH),x86_64)
FLAGS_kernel_avx2 := $(KERNEL_O) -mavx2 -mfma -mf16c
# Compilers older than gcc 11 and clang 12 lack this one; then there is no such kernel.
AVXVNNI := $(shell $(CC) -mavxvnni -fsyntax-only -x c /dev/null 2>/dev/null && echo -mavxvnni)
FLAGS_kernel := $(if $(AVXVNNI),-DNODE_HAVE_AVXVNNI)
FLAGS_kernel_avxvnni := $(KERNEL_O) -mavx2 -mfma -mf16c $(AVXVNNI)
FLAGS_kernel_avx512 := $(KERNEL_O) -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512vnni -mfma -mf16c -mprefer-vector-width=512
endif
ifeq ($(ARCH),aarch64)
# For processors that execute in order: to save registers, gcc's first scheduling makes chains of dependent instructions out of the sums of
# kernel_dot_neon.h, and without renaming its second one has no registers to load ahead. clang schedules differently, without such options;
# what it and gcc's second one do is for Cortex-A55, since processors that execute out of order need no help.
IN_ORDER := $(shell $(CC) -Werror -fno-schedule-insns -frename-registers -fsyntax-only -x c /dev/null 2>/dev/null && \
	echo -fno-schedule-insns -frename-registers) -mtune=cortex-a55
FLAGS_kernel_neon := $(KERNEL_O) $(IN_ORDER)
FLAGS_kernel_neon_dot := $(KERNEL_O) $(IN_ORDER) -march=armv8.2-a+dotprod
endif
FLAGS_fleet_tick := $(if $(SAN),,-O3)
file_flags = $(FLAGS_$(basename $(notdir $(1))))

# ---- files ----

LIBMESH_SRC := $(filter-out libmesh/program/% $(if $(TRACE),,libmesh/trace/%),$(wildcard libmesh/*/*.c))
SHARED_SRC := $(wildcard libmesh/program/*.c)
NODE_SRC := $(filter-out $(if $(API),,node/api/%),$(wildcard node/*.c node/*/*.c))
MONITOR_SRC := $(wildcard monitor/*.c)
DISSECTOR_SRC := $(filter-out $(if $(PCAP),,dissector/capture.c),$(wildcard dissector/*.c))
REPLAY_SRC := $(if $(TRACE),$(wildcard replay/*.c))
EXPLORE_SRC := $(wildcard tests/explore/*.c)
CROSS_SRC := $(wildcard tests/cross/arith_digest.c)
BENCH_SRC := $(wildcard tests/bench/*.c)
TRACE_TESTS := $(patsubst %,tests/unit/%,test_trace% test_replay% test_recording% test_monitor_trace.c trace_case.c diff_case.c)
TEST_SRC := $(filter-out $(if $(TRACE),,$(TRACE_TESTS)) $(if $(PCAP),,tests/unit/test_verdicts.c) \
	$(if $(API),,tests/unit/test_api%),$(wildcard tests/unit/test_*.c))
TEST_HELP_SRC := $(filter-out tests/unit/test_% $(if $(TRACE),,$(TRACE_TESTS)),$(wildcard tests/unit/*.c))
FUZZ_SRC := $(filter-out $(if $(TRACE),,$(patsubst %,tests/fuzz/fuzz_%.c,trace compact replay)) \
	$(if $(and $(PCAP),$(TRACE)),,tests/fuzz/fuzz_dissect.c) $(if $(API),,tests/fuzz/fuzz_api.c),$(wildcard tests/fuzz/fuzz_*.c))
RUN_TESTS := $(filter-out tests/run/lib.sh,$(wildcard tests/run/*.sh))
PUBLIC_HEADERS := $(wildcard libmesh/include/mesh/*.h)

obj = $(patsubst %.c,$(BUILD)/%.o,$(1))
LIBMESH_OBJ := $(call obj,$(LIBMESH_SRC))
SHARED_OBJ := $(call obj,$(SHARED_SRC))
NODE_OBJ := $(call obj,$(filter-out node/main.c,$(NODE_SRC)))
MONITOR_OBJ := $(call obj,$(filter-out monitor/main.c,$(MONITOR_SRC)))
DISSECTOR_OBJ := $(call obj,$(filter-out dissector/main.c,$(DISSECTOR_SRC)))
REPLAY_OBJ := $(call obj,$(filter-out replay/main.c,$(REPLAY_SRC)))
# The tests selected by T and not excluded by NOT: programs that are not run need not be built.
matches = $(foreach path,$2,$(if $(strip $(foreach pattern,$1,$(findstring $(pattern),$(path)))),$(path)))
wanted = $(filter-out $(call matches,$(NOT),$1),$(if $(T),$(call matches,$(T),$1),$1))
TEST_BIN := $(call wanted,$(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(TEST_SRC)))
FUZZ_BIN := $(patsubst tests/fuzz/%.c,$(BUILD)/fuzz/%,$(FUZZ_SRC))
ALL_OBJ := $(call obj,$(LIBMESH_SRC) $(SHARED_SRC) $(NODE_SRC) $(MONITOR_SRC) $(DISSECTOR_SRC) $(REPLAY_SRC) $(EXPLORE_SRC) \
	$(CROSS_SRC) $(BENCH_SRC) $(TEST_SRC) $(TEST_HELP_SRC) $(FUZZ_SRC) $(wildcard tests/preload/*.c))
# Programs for users: each has a folder and a main.c.
MAINS := $(if $(wildcard node/main.c),$(BIN)/mesh-node) $(if $(wildcard monitor/main.c),$(BIN)/mesh-monitor) \
	$(if $(PCAP),$(if $(wildcard dissector/main.c),$(BIN)/mesh-dissect)) $(if $(REPLAY_SRC),$(BIN)/mesh-replay)
PROGRAMS := $(MAINS) $(if $(EXPLORE_SRC),$(BIN)/mesh-explore) $(if $(CROSS_SRC),$(BIN)/arith-digest) \
	$(if $(BENCH_SRC),$(BIN)/monitor-bench $(BIN)/made-mesh $(BIN)/record-telemetry $(BIN)/dissect-bench \
	$(BIN)/bpe-model)

all: programs $(BIN)/libmesh.a $(BIN)/libmesh.so
programs: $(PROGRAMS)

# ---- build rules ----

# The flags of the last build: rewritten only when they change, and then newer than every object.
FLAGS_NOW := $(strip $(CC) $(CPPFLAGS) $(NCURSES_CFLAGS) $(CFLAGS) $(LDFLAGS) $(NODE_LIBS) $(LDLIBS) / \
	$(foreach v,$(sort $(filter FLAGS_kernel%,$(.VARIABLES))),$(v) $($(v))))
$(BUILD)/flags: FORCE
	@command -v $(firstword $(CC)) >/dev/null || { echo "make: no compiler '$(CC)': type 'make deps' to install what is missing" >&2; exit 1; }
	@mkdir -p $(@D) && printf '%s\n' '$(subst ','\'',$(FLAGS_NOW))' | cmp -s - $@ || { \
		$(CC) $(CPPFLAGS) $(CFLAGS) -fsyntax-only -x c libmesh/core/machine.h && printf '%s\n' '$(subst ','\'',$(FLAGS_NOW))' >$@; }

$(BUILD)/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(call file_flags,$<) -MMD -MP -c -o $@ $<

INTERNAL := $(LIBMESH_SRC) $(NODE_SRC) $(REPLAY_SRC) $(TEST_SRC) $(TEST_HELP_SRC) $(EXPLORE_SRC) $(CROSS_SRC) $(BENCH_SRC) $(FUZZ_SRC)
$(call obj,$(INTERNAL)): override CPPFLAGS += -I. # "libmesh/FOLDER/HEADER.h", "node/FOLDER/HEADER.h"

$(BUILD)/monitor/screen.o: override CPPFLAGS += $(NCURSES_CFLAGS)

# An archive is also made anew when a source file was added or removed.
$(BUILD)/libmesh.list: FORCE
	@mkdir -p $(@D) && echo '$(LIBMESH_OBJ)' | cmp -s - $@ || echo '$(LIBMESH_OBJ)' >$@

$(BIN)/libmesh.a: $(LIBMESH_OBJ) $(BUILD)/libmesh.list
	@mkdir -p $(@D)
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $(LIBMESH_OBJ)

# Code that programs share besides the protocol, programs without their main functions, and code that tests share: the linker takes what is
# called.
$(BUILD)/%.list: FORCE
	@mkdir -p $(@D) && echo '$($(*)_objects)' | cmp -s - $@ || echo '$($(*)_objects)' >$@
shared_objects := $(SHARED_OBJ)
node_objects := $(NODE_OBJ)
helpers_objects := $(call obj,$(TEST_HELP_SRC))
monitor_objects := $(MONITOR_OBJ)
dissector_objects := $(DISSECTOR_OBJ)
replay_objects := $(REPLAY_OBJ)
$(BUILD)/shared.a: $(SHARED_OBJ)
$(BUILD)/node.a: $(NODE_OBJ)
$(BUILD)/monitor.a: $(MONITOR_OBJ)
$(BUILD)/dissector.a: $(DISSECTOR_OBJ)
$(BUILD)/replay.a: $(REPLAY_OBJ)
$(BUILD)/helpers.a: $(call obj,$(TEST_HELP_SRC))
$(foreach name,shared node monitor dissector helpers replay,$(BUILD)/$(name).a): $(BUILD)/%.a: $(BUILD)/%.list
	$(Q)rm -f $@ && $(AR) rcs $@ $(filter %.o,$^)

# The shared library shows the names of the public headers and nothing else.
$(BUILD)/libmesh.map: $(PUBLIC_HEADERS) $(BUILD)/libmesh.list
	@{ echo '{ global:'; cat $(PUBLIC_HEADERS) | grep -o 'mesh_[a-z0-9_]*' | sort -u | sed 's/$$/;/'; echo 'local: *; };'; } >$@

$(BIN)/libmesh.so: $(LIBMESH_OBJ) $(BUILD)/libmesh.map
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -shared -Wl,-soname,libmesh.so.$(SOVERSION) -Wl,--version-script=$(BUILD)/libmesh.map \
		-o $@ $(LIBMESH_OBJ) $(LDLIBS)

link = $(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^)

$(BIN)/mesh-node: $(BUILD)/node/main.o $(BUILD)/node.a $(BUILD)/shared.a $(BIN)/libmesh.a
	$(call say,LD,$@)
	$(link) $(NODE_LIBS) $(LDLIBS)

$(BIN)/mesh-monitor: $(BUILD)/monitor/main.o $(BUILD)/monitor.a $(BUILD)/shared.a $(BIN)/libmesh.a
	$(call say,LD,$@)
	$(link) $(NCURSES_LIBS) $(LDLIBS)

$(BIN)/mesh-dissect: $(BUILD)/dissector/main.o $(BUILD)/dissector.a $(BUILD)/shared.a $(BIN)/libmesh.a
	$(call say,LD,$@)
	$(link) $(PCAP_LIBS) $(LDLIBS)

$(BIN)/mesh-replay: $(BUILD)/replay/main.o $(BUILD)/replay.a $(BUILD)/node.a $(BUILD)/shared.a $(BIN)/libmesh.a
	$(call say,LD,$@)
	$(link) $(NODE_LIBS) $(LDLIBS)

$(BIN)/mesh-explore: $(call obj,$(EXPLORE_SRC) $(wildcard tests/unit/sim*.c)) $(BUILD)/node.a $(BUILD)/shared.a $(BIN)/libmesh.a
	$(call say,LD,$@)
	$(link) $(NODE_LIBS) $(LDLIBS)

$(BIN)/arith-digest: $(call obj,$(CROSS_SRC) tests/unit/dot_case.c tests/unit/odd_float.c) $(BUILD)/node.a $(BUILD)/shared.a \
	$(BIN)/libmesh.a
	$(call say,LD,$@)
	$(link) $(NODE_LIBS) $(LDLIBS)

$(BIN)/dissect-bench: $(BUILD)/tests/bench/dissect_bench.o $(BUILD)/tests/unit/capture_case.o $(BIN)/libmesh.a
	$(call say,LD,$@)
	$(link) $(LDLIBS)

$(BIN)/bpe-model: $(BUILD)/tests/bench/bpe_model.o $(BUILD)/node.a $(BUILD)/shared.a $(BIN)/libmesh.a
	$(call say,LD,$@)
	$(link) $(NODE_LIBS) $(LDLIBS)

$(BIN)/monitor-bench: $(BUILD)/tests/bench/monitor_bench.o $(call obj,$(wildcard tests/unit/sim*.c)) $(BUILD)/monitor.a $(BUILD)/node.a \
	$(BUILD)/shared.a $(BIN)/libmesh.a
	$(call say,LD,$@)
	$(link) $(NODE_LIBS) $(LDLIBS)

$(BIN)/made-mesh: $(BUILD)/tests/bench/made_mesh.o
$(BIN)/made-mesh: $(BUILD)/tests/unit/made_telemetry.o
$(BIN)/record-telemetry: $(BUILD)/tests/bench/record_telemetry.o $(BUILD)/tests/unit/telemetry_file.o
$(BIN)/made-mesh $(BIN)/record-telemetry: $(BUILD)/monitor.a $(BUILD)/shared.a $(BIN)/libmesh.a
	$(call say,LD,$@)
	$(link) $(LDLIBS)

$(BUILD)/tests/%: $(BUILD)/tests/unit/%.o $(BUILD)/helpers.a $(BUILD)/replay.a $(BUILD)/node.a $(BUILD)/monitor.a $(BUILD)/dissector.a \
	$(BUILD)/shared.a $(BIN)/libmesh.a
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(link) -lcmocka $(PCAP_LIBS) $(NODE_LIBS) $(LDLIBS)

# Loaded before a program, they make calls of the C library fail, or its clock another one; sanitizers replace such calls themselves, and
# musl does not tell the callers.
PRELOADED := $(if $(SAN)$(MUSL)$(findstring -static,$(LDFLAGS)),,$(BUILD)/fail_calls.so $(BUILD)/other_clock.so)
$(BUILD)/%.so: $(BUILD)/tests/preload/%.o
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -shared -o $@ $<

$(BUILD)/fuzz/%: $(BUILD)/tests/fuzz/%.o $(BUILD)/helpers.a $(BUILD)/replay.a $(BUILD)/node.a $(BUILD)/monitor.a $(BUILD)/dissector.a \
	$(BUILD)/shared.a $(BIN)/libmesh.a
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(link) -fsanitize=fuzzer $(PCAP_LIBS) $(NODE_LIBS) $(LDLIBS)

# ---- targets to type ----

# Used by targets that first install packages: what make found out about the compiler before that may be out of date.
again = +@$(MAKE) --no-print-directory $(if $(filter -j% --jobserver%,$(MAKEFLAGS)),,-j$(shell nproc))

deps:
	@tests/tools/deps build
deps-test:
	@tests/tools/deps test
deps-deb:
	@tests/tools/deps deb

demo: deps
	$(again) programs
	@BIN='$(BIN)' tests/tools/demo

test: deps deps-test
	$(again) build-tests
	$(again) run-tests

build-tests: all $(PRELOADED) $(if $(shell pkg-config --exists cmocka 2>/dev/null && echo yes),$(TEST_BIN))

run-tests:
	@BIN='$(BIN)' BUILD='$(BUILD)' SAN='$(SAN)' ARCH='$(ARCH)' CC='$(CC)' T='$(T)' V='$(V)' tests/tools/run-tests $(TEST_BIN) -- $(RUN_TESTS)

unit: $(TEST_BIN)
	@BIN='$(BIN)' BUILD='$(BUILD)' SAN='$(SAN)' ARCH='$(ARCH)' CC='$(CC)' T='$(T)' V='$(V)' tests/tools/run-tests $(TEST_BIN) --

bench: programs
	@echo 'medians (least-greatest) of several runs; ratios are of what was measured in turns; see docs/PERFORMANCE.md'
	@$(BIN)/mesh-node bench
	@tests/tools/bench-mpi || [ $$? -eq 77 ]
	@$(BIN)/monitor-bench
	@BIN='$(BIN)' tests/tools/bench-monitor || [ $$? -eq 77 ]
	@[ ! -x $(BIN)/mesh-dissect ] || $(BIN)/dissect-bench $(BIN)/mesh-dissect
	@BIN='$(BIN)' tests/tools/bench-loss -r 3 -n 60 || [ $$? -eq 77 ]
	@BIN='$(BIN)' tests/tools/bench-veth || [ $$? -eq 77 ]
	@BIN='$(BIN)' tests/tools/bench-multicast -N '2 4' -r 2 || [ $$? -eq 77 ]

fuzz-programs: deps-test
	$(again) CC='$(FUZZ_CC)' SAN=fuzzer-no-link,address,undefined BUILD=build/fuzz fuzz-build

fuzz: fuzz-programs
	@FUZZ_SECONDS='$(FUZZ_SECONDS)' T='$(T)' tests/tools/fuzz build/fuzz/fuzz $(FUZZ_SRC)

fuzz-build: $(FUZZ_BIN)

cross-programs: deps deps-test
	@tests/cross/cross.sh --build

test-cross: deps deps-test
	$(again) programs
	@BIN='$(BIN)' BUILD='$(BUILD)/cross' CROSS_SMOKE='$(CROSS_SMOKE)' V=1 TEST_TIMEOUT=900 tests/tools/run-tests -- tests/cross/cross.sh

lint: deps-test
	@tests/tools/lint check
format: deps-test
	@tests/tools/lint format

# Tables of the documents: of files, of the protocol and of traces. The tests that compare the last two write them, too.
DOC_TESTS := $(if $(shell pkg-config --exists cmocka 2>/dev/null && echo yes),$(patsubst %,$(BUILD)/tests/%,\
	$(filter test_wire_text test_trace_text,$(basename $(notdir $(TEST_SRC))))))
docs: $(DOC_TESTS)
	@tests/tools/file-list --update
	@for test in $(DOC_TESTS); do MESH_UPDATE=1 $$test >/dev/null || exit 1; done

# Only for what is built: no manual of a program, and no header of functions, that are left out.
HEADERS := $(filter-out $(if $(TRACE),,%/trace.h %/trace_clocks.h %/recording.h),$(PUBLIC_HEADERS))
MANUALS := $(wildcard $(patsubst %,docs/man/%.1,$(notdir $(MAINS))))
COMPLETIONS := $(wildcard $(patsubst %,docs/completions/%.bash,$(notdir $(MAINS))))
LIBRARY_DOCS := docs/PROTOCOL.md $(if $(TRACE),docs/TRACE.md)
EXAMPLES := $(wildcard docs/examples/*.c)
INSTALLED := $(addprefix $(PREFIX)/bin/,$(notdir $(MAINS))) $(LIBDIR)/libmesh.a $(LIBDIR)/libmesh.so \
	$(LIBDIR)/libmesh.so.$(SOVERSION) $(LIBDIR)/libmesh.so.$(VERSION) $(LIBDIR)/pkgconfig/libmesh.pc \
	$(addprefix $(PREFIX)/include/mesh/,$(notdir $(HEADERS))) \
	$(patsubst docs/man/%,$(PREFIX)/share/man/man1/%,$(MANUALS)) $(PREFIX)/share/man/man7/libmesh.7 \
	$(patsubst docs/%,$(DOCDIR)/%,$(LIBRARY_DOCS) $(EXAMPLES)) \
	$(patsubst docs/completions/%.bash,$(PREFIX)/share/bash-completion/completions/%,$(COMPLETIONS)) \
	$(ZSHDIR)/_mesh $(patsubst docs/completions/%.bash,$(PREFIX)/share/fish/vendor_completions.d/%.fish,$(COMPLETIONS)) \
	$(if $(filter %/mesh-dissect,$(MAINS)),$(WIRESHARKDIR)/mesh.lua) \
	$(addprefix $(UNITDIR)/,mesh-node.service mesh-node@.service $(if $(API),mesh-api.service)) \
	$(addprefix $(PREFIX)/share/mesh-node/,cluster.conf sysctl.conf grafana-dashboard.json) $(PREFIX)/share/doc/diolkos-mesh/LICENSE

# DESTDIR may have any name. PREFIX may have no spaces, at which make and pkg-config split words.
staged = $(foreach name,$(1),'$(DESTDIR)$(name)')
ifneq ($(filter install uninstall,$(MAKECMDGOALS)),)
ifneq ($(words -$(PREFIX)- -$(LIBDIR)- -$(UNITDIR)- -$(WIRESHARKDIR)- -$(DOCDIR)- -$(ZSHDIR)-),6)
$(error PREFIX, LIBDIR, UNITDIR, WIRESHARKDIR, DOCDIR and ZSHDIR cannot have spaces: give other names)
endif
endif

installable: $(MAINS) $(BIN)/libmesh.a $(BIN)/libmesh.so

# The installing user may have any umask: files written by redirection are made readable by all.
install: installable
	@install -d $(call staged,$(sort $(dir $(INSTALLED))))
	@install -m 755 $(MAINS) '$(DESTDIR)$(PREFIX)/bin/'
	@install -m 644 $(BIN)/libmesh.a '$(DESTDIR)$(LIBDIR)/'
	@install -m 755 $(BIN)/libmesh.so '$(DESTDIR)$(LIBDIR)/libmesh.so.$(VERSION)'
	@ln -sf libmesh.so.$(VERSION) '$(DESTDIR)$(LIBDIR)/libmesh.so.$(SOVERSION)'
	@ln -sf libmesh.so.$(SOVERSION) '$(DESTDIR)$(LIBDIR)/libmesh.so'
	@install -m 644 $(HEADERS) '$(DESTDIR)$(PREFIX)/include/mesh/'
	@umask 022 && sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(patsubst $(PREFIX)/%,$${prefix}/%,$(LIBDIR))|' -e 's|@VERSION@|$(VERSION)|' \
		-e 's|@REQUIRES@|$(if $(SODIUM),libsodium)$(if $(GCRYPT), libgcrypt)$(if $(TRACE), sqlite3 libzstd libxxhash)|' \
		-e 's|@LIBS_PRIVATE@|$(if $(IPSEC_MB),-lIPSec_MB )|' libmesh/libmesh.pc.in >'$(DESTDIR)$(LIBDIR)/pkgconfig/libmesh.pc'
	@$(if $(MANUALS),install -m 644 $(MANUALS) '$(DESTDIR)$(PREFIX)/share/man/man1/')
	@install -m 644 docs/man/libmesh.7 '$(DESTDIR)$(PREFIX)/share/man/man7/'
	@install -m 644 $(LIBRARY_DOCS) '$(DESTDIR)$(DOCDIR)/'
	@install -m 644 $(EXAMPLES) '$(DESTDIR)$(DOCDIR)/examples/'
	@for file in $(COMPLETIONS); do \
		install -m 644 $$file '$(DESTDIR)$(PREFIX)/share/bash-completion/completions/'$$(basename $$file .bash); \
		install -m 644 docs/completions/mesh.fish '$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/'$$(basename $$file .bash).fish; done
	@install -m 644 docs/completions/_mesh '$(DESTDIR)$(ZSHDIR)/'
	@$(if $(filter %/mesh-dissect,$(MAINS)),umask 022 && $(BIN)/mesh-dissect --export wireshark >'$(DESTDIR)$(WIRESHARKDIR)/mesh.lua')
	@umask 022 && sed -e 's|@BIN@|$(PREFIX)/bin|' -e 's|@NODE@|%l|' deploy/mesh-node.service.in >'$(DESTDIR)$(UNITDIR)/mesh-node.service'
	@umask 022 && sed -e 's|@BIN@|$(PREFIX)/bin|' -e 's|@NODE@|%i|' deploy/mesh-node.service.in >'$(DESTDIR)$(UNITDIR)/mesh-node@.service'
	@$(if $(API),umask 022 && sed -e 's|@BIN@|$(PREFIX)/bin|' deploy/mesh-api.service.in >'$(DESTDIR)$(UNITDIR)/mesh-api.service')
	@install -m 644 deploy/cluster.conf deploy/sysctl.conf deploy/grafana-dashboard.json '$(DESTDIR)$(PREFIX)/share/mesh-node/'
	@install -m 644 LICENSE '$(DESTDIR)$(PREFIX)/share/doc/diolkos-mesh/'
	@echo 'installed below $(DESTDIR)$(PREFIX)'

uninstall:
	@rm -f $(call staged,$(INSTALLED))
	@rmdir $(call staged,$(PREFIX)/include/mesh $(PREFIX)/share/mesh-node $(PREFIX)/share/doc/diolkos-mesh $(DOCDIR)/examples $(DOCDIR)) \
		2>/dev/null || true

dist:
	@deploy/make-dist $(VERSION) build/dist
deb:
	@deploy/make-deb $(VERSION) '$(DEB_REVISION)' build/deb

clean:
	rm -rf build bin

help:
	@sed -n 's/^#: //p' Makefile

#: make            build everything into bin/
#: make demo       install what is missing, build, and generate text with three node processes
#: make test       install what is missing, build, run all tests; T="PATTERN..." picks some, NOT="..." drops, V=1 shows each
#: make unit       the unit tests only             make bench      speeds of this machine
#: make lint       format, static analysis         make format     put the sources into form
#: make fuzz       FUZZ_SECONDS=20 per target      make test-cross the same bits under qemu (CROSS_SMOKE=1: short)
#: make docs       bring the generated tables of the documents up to date
#: make install    PREFIX=/usr/local LIBDIR=lib DESTDIR= UNITDIR= WIRESHARKDIR= DOCDIR= ZSHDIR=   make uninstall, clean, deps, deps-test
#: make dist       a tarball of the sources        make deb        packages for this Debian (make deps-deb: what that needs)
#: make SAN=address,undefined TARGET               a sanitizer build in its own folder (also SAN=thread)

.PHONY: installable dist deb deps-deb
.PHONY: all programs deps deps-test demo test build-tests run-tests unit bench fuzz fuzz-programs fuzz-build cross-programs
.PHONY: test-cross lint format docs install uninstall clean help FORCE
.DELETE_ON_ERROR:
.SECONDARY:
-include $(ALL_OBJ:.o=.d)
