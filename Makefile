# `make` lists what there is. It needs Go, make and git; `run`, `test` and `bench` install what else they need with
# apt-get where that exists, and say what is missing where it does not.

GO ?= go
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null)
COMMIT := $(shell git rev-parse HEAD 2>/dev/null)

# A static binary that is the same, byte by byte, wherever the same Go builds the same commit. The version is given rather
# than noted by the go command, which does not know a worktree and refuses a checkout of another user's.
STATIC = CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -ldflags '-s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT)'

# Where `make install` puts things, below DESTDIR if that is set.
PREFIX ?= /usr/local
export DESTDIR PREFIX GO

# Packages whose tests have a -update flag that writes what the code does. Where the flag records what this kernel does,
# the recording is the evidence and not to be made anew by the way.
GOLDEN = $(shell grep -rE --include='*_test.go' 'flag.Bool."update"|internal/golden"' . | grep -v 'this kernel' | cut -d: -f1 | \
	xargs -n1 dirname | sort -u)

.PHONY: help run build install uninstall test test-long test-apps applications lint vuln fuzz torture torture-faults test-kernels bench arrows golden man claims release clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 24

run: build ## build ctsim and replay the main case, flush-multi-backend
	@.ci/install iptables
	@.ci/privileged bin/ctsim run flush-multi-backend

build: ## build bin/ctsim, a static binary
	$(STATIC) -o bin/ctsim ./cmd/ctsim

install: build ## put ctsim, its manual page and completions into PREFIX, /usr/local by default; asks sudo if it must
	@.ci/place install bin/ctsim

uninstall: ## take away what install put there
	@.ci/place uninstall

# What the tests call by name.
TESTED_WITH = iptables conntrack ip ss unshare setpriv nsenter tshark

test: ## go vet and all tests, those that need a kernel too
	@.ci/install $(TESTED_WITH)
	@.ci/tool >/dev/null
	$(GO) vet ./...
	@.ci/test

test-long: ## all tests, the longest of them in their long form
	@.ci/install $(TESTED_WITH)
	@.ci/tool >/dev/null
	@CTSIM_TEST_LONG=1 .ci/test

# What `ctsim try` is shown on, by the names of their commands.
APPS = initdb psql redis-server redis-cli nginx curl ssh sshd

test-apps: ## ctsim try on psql, redis-cli, curl and ssh, which it installs
	@.ci/install iptables unshare $(APPS)
	@CTSIM_TEST_APPS=1 .ci/test ./cmd/ctsim -run TestKernelApplications

applications: ## write from real runs into docs/applications.md which of them survives what
	@.ci/install iptables unshare $(APPS)
	@CTSIM_TEST_APPS=1 .ci/test ./cmd/ctsim -run TestKernelApplications -update-applications

lint: ## gofmt, go vet (for arm64 too), staticcheck, errorlint, shadow, go mod tidy, deadcode
	@.ci/lint

vuln: ## ask the Go vulnerability database about what ctsim calls; error 3 if it knows something, 4 if it cannot be asked
	@.ci/vuln

# Each of the fuzz tests has so long. Their corpus is in testdata/fuzz, and part of `make test`.
FUZZTIME ?= 15s

fuzz: ## run every fuzz test for FUZZTIME=15s; KEEP=n keeps that many of the inputs each has found, the shortest, in testdata/fuzz
	@.ci/fuzz $(FUZZTIME) $(KEEP)

# A scenario is the same for the same seed, whatever the machine; how many there are depends on TIME, or on COUNT if that is set.
TIME = 60s

torture: ## random scenarios against an independent oracle: SEED=n (or a fresh one) TIME=60s COUNT=n FAULT=name
	@.ci/install iptables
	@.ci/torture -time $(TIME) $(if $(SEED),-seed $(SEED)) $(if $(COUNT),-count $(COUNT)) $(if $(FAULT),-fault $(FAULT))

torture-faults: ## plant each fault that torture knows, and show that it is found: SEED=n TIME=60s
	@.ci/install iptables
	@.ci/torture -time $(TIME) -seed $(or $(SEED),1) -fault all

KERNELS ?= linux-image-cloud-amd64 linux-image-6.12-cloud-amd64
test-kernels: build ## run all scenarios on other kernels under qemu: KERNELS="package or image …"
	@.ci/install qemu-system-x86_64 iptables
	@for kernel in $(KERNELS); do echo "$$kernel" && bin/ctsim run --kernel "$$kernel" --all --quiet || failed=1; done; [ -z "$$failed" ]

bench: build ## time the main case against a shell script that does the same, in pairs: PAIRS=20
	@.ci/install iptables conntrack ip unshare
	CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -o bin/ ./.ci/bench ./.ci/bench/peer
	@.ci/privileged bin/bench $(if $(PAIRS),-pairs $(PAIRS))

arrows: ## measure how the files of each package hang together
	@$(GO) run ./.ci/arrows

golden: ## rewrite the golden files from what the code does now; read the diff before you commit
	$(GO) test $(GOLDEN) -update

man: build ## write the manual page dist/ctsim.1
	@mkdir -p dist
	bin/ctsim man > dist/ctsim.1

claims: build ## run every scenario and write what this kernel says to its claim into docs/claims.md
	@.ci/install iptables
	@{ printf '# The claims, and what a kernel said to them\n\nMade by `make claims` from a real run of every built-in scenario.\n\n'; \
	.ci/privileged bin/ctsim run --all --output markdown; } > docs/claims.md.new && mv docs/claims.md.new docs/claims.md

# The baselines are the oldest processors that Go builds for; GOFLAGS has to be said, or a user's own would count.
release: ## build dist/ctsim-VERSION-linux-amd64 and -arm64 and their SHA256SUMS
	@if [ -z '$(VERSION)' ]; then echo 'release: this is no git checkout, so there is no version' >&2; exit 1; fi
	rm -f dist/ctsim-*
	GOFLAGS=-mod=readonly GOOS=linux GOARCH=amd64 GOAMD64=v1 $(STATIC) -o dist/ctsim-$(VERSION)-linux-amd64 ./cmd/ctsim
	GOFLAGS=-mod=readonly GOOS=linux GOARCH=arm64 GOARM64=v8.0 $(STATIC) -o dist/ctsim-$(VERSION)-linux-arm64 ./cmd/ctsim
	@dist/ctsim-$(VERSION)-linux-$$($(GO) env GOHOSTARCH) version --output json | grep -F '"commit": "'$$(echo $(COMMIT) | cut -c-12)'"'
	cd dist && sha256sum ctsim-$(VERSION)-linux-* > SHA256SUMS && cat SHA256SUMS

clean: ## delete what the other targets built
	rm -rf bin dist
