# make run     a living system in one process: embedded broker, sample people, a live screen
# make test    unit, core, engine and command-line tests and 20 seeds of the whole system; needs nothing but Go
# make check   format, lint, vet, build, the same tests, 100 seeds, kills of real binaries, clients of other languages, a browser,
#              a real Kafka
# make prove   seeds of the whole system for as long as it is told, and the mistakes that they must find: MINUTES=120, or PROVE_SEEDS=1000 FROM=1 BURST=20
# make prove-processes, make prove-broker
#              every fault at once, on the embedded broker and on a real Kafka of three nodes: STORM_MINUTES=30 KILLS=500 SEED=0
# make browser a real browser through the pages: Chromium
# make broker  the tier that needs a real Kafka: JDK and Maven, which download it once
# make kafka   a real Kafka and a schema registry until interrupted; ARGS="--nodes 3 --transactions 1"
# make bench   CPU per record next to a raw transaction loop and stock Goka, interleaved in one run

GO       ?= go
BIN      := $(CURDIR)/.cache/bin
LINT     := $(BIN)/golangci-lint
LINT_VERSION := v2.15.0
TAGS     := synctests
# What the linter reads: the tiers, too.
LINT_TAGS := $(TAGS),kill,foreign,browser,broker
SEEDS    ?= 20
CHECK_SEEDS ?= 100

# make prove: a number of seeds from FROM on, or minutes, and how many at the same time.
PROVE_SEEDS ?= 200
FROM        ?= 1
MINUTES     ?= 0
WORKERS     ?= 2
# Most commands sent at a time: 66 make 20,000 records a seed.
BURST       ?= 20

# make prove-processes, make prove-broker: at least so long and so many kills of binaries. SEED=0 is another one each time.
STORM_MINUTES ?= 10
KILLS         ?= 200
INSTANCES     ?= 8
SEED          ?= 0
# TRANSACTIONS of one transactional id; 70,000 go past two ends of its epochs. NODES=1 kills and cuts off no node; VERSION is that of transactions.
TRANSACTIONS  ?= 70000
NODES         ?= 3
VERSION       ?= 2
STORM         := -prove -minutes $(STORM_MINUTES) -kills $(KILLS) -instances $(INSTANCES) -seed $(SEED)

# The race detector needs a C compiler; without one the tests run all the same and say so.
CC_FOUND := $(shell command -v $${CC:-cc} 2>/dev/null || command -v gcc 2>/dev/null)
RACE     := $(if $(CC_FOUND),-race)

.PHONY: run demo build test simulation seeds prove prove-processes prove-broker check fmt fmt-check lint vet kill foreign browser broker kafka bench clean

run:
	@$(GO) run ./cmd/utopia up --demo

build:
	$(GO) build -o bin/ ./cmd/...

test:
	@$(if $(RACE),,echo "no C compiler found: the tests run without the race detector")
	$(GO) test $(RACE) -tags $(TAGS) -timeout 20m $$($(GO) list ./... | grep -v /integration/simulation)
	@$(MAKE) --no-print-directory simulation SEEDS=$(SEEDS)

# All services in virtual time. Without the race detector, which would take five times as long: it has the engine's own simulation.
simulation:
	$(GO) test -tags $(TAGS) -timeout 10m ./integration/simulation -seeds $(SEEDS)

prove:
	$(GO) test -tags $(TAGS) -timeout 0 -count 1 -v ./integration/simulation -run 'TestMistakes|TestProve' -prove -seeds $(PROVE_SEEDS) -seed $(FROM) \
		-minutes $(MINUTES) -burst $(BURST) -workers $(WORKERS) -parallel $(WORKERS)

prove-processes:
	$(GO) test -tags "$(TAGS) kill" -timeout 0 -count 1 -v ./integration/kill -run TestProve $(STORM)

prove-broker:
	$(GO) test -tags "$(TAGS) broker" -timeout 0 -count 1 -v ./integration/broker -run 'TestProve|TestFacts/every' \
		-transactions $(TRANSACTIONS) -nodes $(NODES) -version $(VERSION) $(STORM)

check: fmt-check lint vet build test seeds kill foreign browser broker

# What every push runs of the simulation.
seeds:
	@$(MAKE) --no-print-directory simulation SEEDS=$(CHECK_SEEDS)

fmt: $(LINT)
	$(LINT) fmt

fmt-check: $(LINT)
	@$(LINT) fmt --diff > .cache/fmt.diff || true
	@if [ -s .cache/fmt.diff ]; then cat .cache/fmt.diff; echo "run: make fmt"; exit 1; fi

lint: $(LINT)
	$(LINT) run --build-tags $(LINT_TAGS) ./...

vet:
	$(GO) vet -tags $(TAGS) ./...

# Real binaries on a broker with a data directory, killed with SIGKILL under load.
kill:
	$(GO) test -tags "$(TAGS) kill" -timeout 20m -count 1 ./integration/kill/...

# Clients nobody here wrote: confluent-kafka (Python), kcat and Maven's (Java) where they are installed, and the README's blocks.
foreign:
	$(GO) test -tags "$(TAGS) foreign" -timeout 20m -count 1 ./integration/clients/...

# A real browser through the pages of `utopia up`, from the form to the mail to billing; axe-core on each page. Fails without one.
browser:
	$(GO) test -tags "$(TAGS) browser" -timeout 15m -count 1 ./integration/browser/...

# Apache Kafka and a real schema registry, from their Maven artifacts (integration/kafka/pom.xml).
broker:
	@mkdir -p .cache
	$(GO) test -tags "$(TAGS) broker" -timeout 30m -count 1 -p 1 -v ./integration/kafka/... ./integration/broker/... > .cache/broker.log || \
		{ tail -n 400 .cache/broker.log; echo "the broker tier failed; all of its output is in .cache/broker.log"; exit 1; }
	@grep -E '^(ok|---|    ---)' .cache/broker.log

kafka:
	@$(GO) run ./integration/kafka/serve $(ARGS)

bench:
	$(GO) run ./integration/bench

$(LINT):
	GOBIN=$(BIN) $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VERSION)

clean:
	rm -rf bin .cache
