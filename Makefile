# Builds bin/lora, bin/lora_worker and bin/lora_ps. `make help` lists the targets.

CC      ?= gcc
ifeq ($(origin CC),default)
CC      := gcc
endif
PROFILE ?= release
# What all but the kernels may use: the first CPUs of 64 bits that anybody trains on (2009). The kernels
# are compiled for each level of LEVELS besides, and chosen at the start (worker/kernels/levels.h). Only they
# fuse multiplications and additions, which a fingerprint sees: so MARCH does not change a run's bits.
ifeq ($(shell uname -m),x86_64)
MARCH   ?= x86-64-v2
LEVELS  := v2 v3 v4
endif
LEVELS  ?= portable
WERROR  ?= 1
PREFIX  ?= /usr/local
B       := build/$(CC)-$(PROFILE)

OPT_release := -O3 -g1
OPT_debug   := -Og -g3
OPT_asan    := -O1 -g1 -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
OPT_tsan    := -O1 -g1 -fsanitize=thread
OPT         := $(OPT_$(PROFILE))
export TSAN_OPTIONS ?= suppressions=$(CURDIR)/tests/support/tsan.supp ignore_noninstrumented_modules=1
ifeq ($(OPT),)
$(error PROFILE is release, debug, asan or tsan)
endif

WARN := -Wall -Wextra $(if $(filter 1,$(WERROR)),-Werror) -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
        -Wpointer-arith -Wcast-qual -Wformat=2 -Wundef -Wvla -Wwrite-strings -Wno-unknown-pragmas \
        -Wno-pass-failed -Wno-unknown-warning-option -Wno-format-truncation
CPPFLAGS += -I. -D_GNU_SOURCE -MMD -MP
CFLAGS   += -std=gnu11 $(OPT) $(if $(MARCH),-march=$(MARCH)) -fopenmp -ffp-contract=off -fno-math-errno -fno-trapping-math $(WARN)
NM       ?= nm
OBJCOPY  ?= objcopy
MPI_CFLAGS = $(shell mpicc --showme:compile)
MPI_LIBS   = $(shell mpicc --showme:link)
LIBS := -lzmq -lmsgpackc -lyaml -ljansson -lz -lzstd -lutf8proc -lpcre2-8 -lsodium -lxxhash -ljpeg -lpng -lmicrohttpd -ldl -lm -lpthread

objs = $(patsubst %.c,$(B)/%.o,$(filter-out %/main.c,$(shell find $(1) -name '*.c')))
MAINS    := worker/main.c ps/main.c launch/main.c
TESTS    := $(shell find tests -name "*_test.c")
HELPERS  := $(shell find tests -maxdepth 2 -path 'tests/support/*.c')
PROGRAMS := bin/lora bin/lora_ps bin/lora_worker

# `make V=1` shows the whole commands
say = $(if $(V),,@echo '  $(1)' && )

.PHONY: all
all: $(PROGRAMS)  ## build the three programs into bin/

# ---- compile -----------------------------------------------------------------

$(B)/worker/comm/%.o: CPPFLAGS += $(MPI_CFLAGS)
$(B)/tests/bench/allreduce_bench.o: CPPFLAGS += $(MPI_CFLAGS)
$(B)/launch/cmd_import.o: launch/import.py
$(B)/ps/web.o: ps/page.html
$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC $<)$(CC) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

# ---- kernels: once a level. The objects of a level become one, and what it shares gets the level's name.

BASELINE := $(addprefix worker/kernels/,gemm.c blas.c levels.c bf16_products.c amx_products.c profiled.c)
LEVELED  := $(filter-out $(BASELINE),$(wildcard worker/kernels/*.c))
FLAGS_v2 := -march=x86-64-v2
FLAGS_v3 := -march=x86-64-v3 -ffp-contract=fast
FLAGS_v4 := -march=x86-64-v4 -mprefer-vector-width=512 -ffp-contract=fast
FLAGS_portable := -ffp-contract=fast
$(B)/worker/kernels/levels.o: CPPFLAGS += $(LEVELS:%=-DLEVEL_%)

define level
$(B)/$(1)/%.o: CFLAGS += $$(FLAGS_$(1))
$(B)/$(1)/%.o: %.c
	@mkdir -p $$(@D)
	$$(call say,CC $$< ($(1)))$$(CC) $$(CPPFLAGS) $$(CFLAGS) -c -o $$@ $$<
$(B)/worker/kernels_$(1).o: $(patsubst %.c,$(B)/$(1)/%.o,$(LEVELED))
	@mkdir -p $$(@D)
	$$(call say,LD $$@)$$(LD) -r -o $$@ $$^ && $$(NM) -g --defined-only $$@ | awk '{ print $$$$3, $$$$3 "_$(1)" }' >$$@.names && \
	    $$(OBJCOPY) --redefine-syms=$$@.names $$@
endef
$(foreach l,$(LEVELS),$(eval $(call level,$(l))))

$(B)/libcommon.a: $(call objs,common)
$(B)/libworker.a: $(filter-out $(patsubst %.c,$(B)/%.o,$(LEVELED)),$(call objs,worker)) $(LEVELS:%=$(B)/worker/kernels_%.o)
$(B)/libps.a: $(call objs,ps)
$(B)/liblaunch.a: $(call objs,launch)
$(B)/lib%.a:
	@rm -f $@ && ar rcs $@ $^

bin/lora_worker: $(B)/worker/main.o $(B)/liblaunch.a $(B)/libworker.a $(B)/libcommon.a
	@mkdir -p bin
	$(call say,LD $@)$(CC) $(CFLAGS) -o $@ $^ $(MPI_LIBS) $(LIBS)
bin/lora_ps: $(B)/ps/main.o $(B)/libps.a $(B)/libcommon.a
	@mkdir -p bin
	$(call say,LD $@)$(CC) $(CFLAGS) -o $@ $^ $(LIBS)
bin/lora: $(B)/launch/main.o $(B)/liblaunch.a $(B)/libps.a $(B)/libworker.a $(B)/libcommon.a
	@mkdir -p bin
	$(call say,LD $@)$(CC) $(CFLAGS) -o $@ $^ $(LIBS)

# ---- tests -------------------------------------------------------------------

TEST_BINS := $(patsubst %.c,$(B)/%,$(TESTS))
$(B)/tests/%_test: $(B)/tests/%_test.o $(patsubst %.c,$(B)/%.o,$(HELPERS)) $(B)/liblaunch.a $(B)/libps.a $(B)/libworker.a $(B)/libcommon.a
	$(call say,LD $@)$(CC) $(CFLAGS) -o $@ $^ -lcmocka $(LIBS)

# The simulation is of a program whose large gradients are small: pieces of 2 floats
SMALL := ps/core ps/greet ps/idmap ps/clients ps/lease ps/gather ps/chunks ps/outbox ps/pieces ps/room ps/trust \
         worker/ps_client/client_core worker/ps_client/client_take worker/ps_client/pending worker/ps_client/silence common/wire/message
$(B)/small/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC $< (small))$(CC) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<
$(B)/small/%.o $(B)/tests/ps/sim/%.o: CPPFLAGS += -DWIRE_PIECE=2
$(B)/tests/ps/sim/sim_test: $(patsubst %.c,$(B)/%.o,$(wildcard tests/ps/sim/*.c)) $(SMALL:%=$(B)/small/%.o) $(B)/libps.a $(B)/libcommon.a
	$(call say,LD $@)$(CC) $(CFLAGS) -o $@ $^ -lcmocka $(LIBS)

CHOSEN = $(if $(T),$(foreach t,$(TEST_BINS),$(if $(findstring $(T),$(t)),$(t))),$(TEST_BINS))
# FOLDER: its scripts whose names hold the word T
scripts = $(wildcard tests/$(1)/*$(T)*_test.sh)
# as many compilers as cores, where nobody said how many
PARALLEL = $(if $(filter -j% --jobserver%,$(MAKEFLAGS)),,-j$(shell nproc))

.PHONY: test test-unit test-dist test-interop
test: ## install what is missing, build, run every test (about 15 minutes on two cores)
	launch/setup
	$(MAKE) lint
	$(MAKE) $(PARALLEL) test-unit
	$(MAKE) $(PARALLEL) test-asan
	$(MAKE) $(PARALLEL) fuzz SECONDS=4
	$(MAKE) $(PARALLEL) test-dist

test-unit: $(TEST_BINS) all ## unit and golden tests; T=word picks
	tests/run $(CHOSEN)

.PHONY: test-asan
test-asan: ## the unit tests under the address and undefined-behaviour sanitizers
	$(MAKE) PROFILE=asan test-unit-bare
.PHONY: test-tsan
test-tsan: ## the unit tests under the thread sanitizer; CC=clang: what OpenMP's threads share, too
	$(MAKE) PROFILE=tsan test-unit-bare
.PHONY: test-unit-bare
test-unit-bare: $(TEST_BINS)
	tests/run $(CHOSEN)

$(B)/tests/dist/%: $(B)/tests/dist/%.o $(B)/libworker.a $(B)/libcommon.a
	$(call say,LD $@)$(CC) $(CFLAGS) -o $@ $^ $(LIBS)

$(B)/tests/dist/families: $(B)/tests/dist/families.o $(B)/tests/dist/asked.o $(B)/tests/support/arithmetic.o $(B)/liblaunch.a $(B)/libps.a $(B)/libworker.a $(B)/libcommon.a
	$(call say,LD $@)$(CC) $(CFLAGS) -o $@ $^ $(LIBS)

$(B)/tests/dist/%.so: tests/dist/%.c
	@mkdir -p $(@D)
	$(call say,LD $@)$(CC) $(CFLAGS) -shared -fPIC -o $@ $< -ldl

DIST := $(addprefix $(B)/tests/dist/,make_model join_many families wrong_blas.so bad_disk.so wrong_clock.so)
.PHONY: dist-programs
dist-programs: all $(DIST)
# They take a minute or more, and are of test-faults where nobody asks for them
SLOW := $(if $(T),,$(addprefix tests/dist/,fault_test.sh signal_test.sh))
test-dist: dist-programs ## real processes: mpirun, lora_ps, kills, restarts; T=word picks
	BUILD=$(B) tests/run $(filter-out $(SLOW),$(call scripts,dist))

.PHONY: test-golden
test-golden: dist-programs ## every golden case by 2 ranks beside PEFT (test-dist: by one, and some by two; 4 minutes)
	BUILD=$(B) RANKS=2 LIMIT=1200 tests/run tests/dist/golden_test.sh

.PHONY: test-faults soak
FAULTS := kill fault disk keys identity signal supervise status web
test-faults: all $(DIST) ## what servers, workers, disks, clocks and machines can do wrong: tests/PROMISES.md (5 minutes)
	BUILD=$(B) tests/run tests/faults/*_test.sh $(FAULTS:%=tests/dist/%_test.sh)
soak: all $(DIST) ## faults at random, run after run, for MINUTES=60: bits and memory
	BUILD=$(B) MINUTES=$(or $(MINUTES),60) tests/soak

# ---- fuzz: PROFILE=asan builds what is attacked

$(B)/tests/fuzz/%: $(B)/tests/fuzz/%.o $(B)/libps.a $(B)/libworker.a $(B)/libcommon.a
	$(call say,LD $@)$(CC) $(CFLAGS) -o $@ $^ $(LIBS)
$(B)/lora: $(B)/launch/main.o $(B)/liblaunch.a $(B)/libps.a $(B)/libworker.a $(B)/libcommon.a
	$(call say,LD $@)$(CC) $(CFLAGS) -o $@ $^ $(LIBS)
$(B)/lora_ps: $(B)/ps/main.o $(B)/libps.a $(B)/libcommon.a
	$(call say,LD $@)$(CC) $(CFLAGS) -o $@ $^ $(LIBS)

.PHONY: fuzz fuzz-bare
SECONDS ?= 60
fuzz: all ## mutated bytes into the parsers and into a server that trains, with sanitizers; SECONDS=60 of each (10 minutes)
	$(MAKE) PROFILE=asan SECONDS=$(SECONDS) fuzz-bare
fuzz-bare: $(B)/lora $(B)/lora_ps $(B)/tests/fuzz/parse_fuzz $(B)/tests/fuzz/ps_fuzz
	BUILD=$(B) SECONDS_EACH=$(SECONDS) LIMIT=$$((600 + 30 * $(SECONDS))) tests/run tests/fuzz/*_test.sh

.PHONY: soak-sim
soak-sim: $(B)/tests/ps/sim/sim_test ## a million schedules of faults for server and clients, simulated; SIM_SCHEDULES=, SIM_SEED= of the first
	SIM_SCHEDULES=$${SIM_SCHEDULES:-1000000} $<

.PHONY: test-mutants
test-mutants: ## breaks the programs on purpose, each time a test must be red; T=word picks (about half an hour)
	BUILD=$(B) tests/mutants/run $(T)

.PHONY: test-load
test-load: all ## 200 clients for 2 minutes at `lora serve`: leaks, texts, p50 and p99
	LIMIT=600 tests/run tests/load/serve_test.sh

.PHONY: test-large
test-large: all $(B)/tests/dist/make_model ## a Llama of 3.4 GB over 4 ranks, none of whom may have half of it (11 minutes on a busy machine; as root, 10 GB of memory)
	BUILD=$(B) LIMIT=1800 tests/run tests/large/stages_test.sh

.PHONY: test-arithmetic
test-arithmetic: all $(B)/tests/dist/wrong_blas.so ## units, sanitizers and bits under all arithmetics of this machine (about 15 minutes)
	BUILD=$(B) tests/arithmetic

.PHONY: test-slurm test-hosts test-lines
test-slurm: all ## launch/slurm on 4 nodes of a real Slurm: kills, requeues (8 minutes; more where requeued jobs wait)
	JOBS=1 LIMIT=3600 tests/run tests/cluster/slurm_test.sh tests/cluster/slurm_stages_test.sh
test-lines: all $(B)/tests/dist/make_model ## slow lines and cut cables between network namespaces: bytes, time, bits (6 minutes; as root)
	BUILD=$(B) tests/run tests/cluster/lines_test.sh
test-hosts: all ## launch/hosts on 4 network namespaces, a cut cable (1 minute; as root)
	tests/run tests/cluster/hosts_test.sh

$(B)/tests/interop/%: $(B)/tests/interop/%.o $(patsubst %.c,$(B)/%.o,$(HELPERS)) $(B)/libps.a $(B)/libworker.a $(B)/libcommon.a
	$(call say,LD $@)$(CC) $(CFLAGS) -o $@ $^ -lcmocka $(LIBS)

INTEROP := $(addprefix $(B)/tests/interop/,rows_driver metrics_figures chat_render images_driver logits_driver base_driver)
test-interop: all $(INTEROP) ## PEFT from PyPI loads what is written here, and the other way round (needs Python)
	BUILD=$(B) tests/interop/run

$(B)/tests/bench/oracle_bench $(B)/tests/bench/allreduce_bench: LIBS += $(MPI_LIBS)
$(B)/tests/bench/%: $(B)/tests/bench/%.o $(B)/tests/support/arithmetic.o $(B)/libps.a $(B)/libworker.a $(B)/libcommon.a
	$(call say,LD $@)$(CC) $(CFLAGS) -o $@ $^ $(LIBS)

.PHONY: bench
BENCHES := $(patsubst %.c,$(B)/%,$(wildcard tests/bench/*_bench.c))
bench: all $(BENCHES) ## speed beside PyTorch + PEFT on the same cores; prints one table (about 30 minutes)
	tests/bench/run

.PHONY: bench-server
bench-server: all $(DIST) $(addprefix $(B)/tests/bench/,fan_in_bench allreduce_bench) ## what the server adds to a step, beside libzmq and MPI_Allreduce (a minute)
	BUILD=$(B) tests/bench/server

# ---- the rest ----------------------------------------------------------------

.PHONY: demo setup lint format format-check install deb clean help
demo: ## install what is missing, build, fine-tune a real model on real texts (4 to 9 minutes)
	launch/setup
	$(MAKE) all
	launch/demo

setup: ## install the Debian packages that are missing
	launch/setup

lint: ## layers, headers, names, sizes; format and clang-tidy where version 14 of them is installed (half a minute)
	tests/lint/run

format: ## clang-format in place
	find common worker ps launch tests -name '*.[ch]' | xargs clang-format -i
format-check:
	find common worker ps launch tests -name '*.[ch]' | xargs clang-format --dry-run --Werror

SHARE = $(DESTDIR)$(PREFIX)/share
# by the places that they have here: launchers, demo, run files, and what the demo takes where there is no network
SHARED = launch/demo launch/hosts launch/slurm/lora.sbatch launch/slurm/sweep.sbatch $(wildcard configs/*) \
         $(shell find tests/golden/bert-seqcls -type f -not -path '*/expected/*')
install: all ## programs, launchers, demo, manual pages, bash completion; PREFIX=/usr/local, DESTDIR=
	install -d $(DESTDIR)$(PREFIX)/bin $(SHARE)/man/man1 $(SHARE)/man/man5 $(SHARE)/bash-completion/completions
	install $(PROGRAMS) $(DESTDIR)$(PREFIX)/bin
	for p in lora lora_ps lora_worker; do bin/$$p --help=man >$(SHARE)/man/man1/$$p.1 || exit 1; done
	bin/lora schema --man >$(SHARE)/man/man5/run.yaml.5
	install -m 644 launch/completion.bash $(SHARE)/bash-completion/completions/lora
	for p in lora_ps lora_worker; do ln -sf lora $(SHARE)/bash-completion/completions/$$p; done
	for f in $(SHARED); do install -D -m "$$(stat -c %a $$f)" $$f $(SHARE)/lora/$$f || exit 1; done

deb: all ## a Debian package in build/ of what `install` puts down
	launch/deb

.PHONY: test-deb
test-deb: all ## the package: its content, and a run in a clean Debian root (as root, with debootstrap: 4 minutes)
	LIMIT=1800 tests/run tests/package/deb_test.sh

clean:
	rm -rf build bin

help:
	@grep -hE '^[a-z-]+:.*##' Makefile | sed 's/:.*##/\t/' | expand -t 16

-include $(shell find $(B) -name '*.d' 2>/dev/null)
.SECONDARY:
