# `make` lists what there is. It needs Go, make and git; `run`, `test` and `bench` install what else they need with
# apt-get where that exists, and say what is missing where it does not.

GO ?= go
# The analyser is pinned here and run by the go command: it is no dependency of ctsim, so go.mod does not name it.
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null)

# ./... leaves folders out whose name begins with a dot.
BENCH = ./.ci/bench ./.ci/bench/peer

# Packages whose tests have a -update flag that writes what the code does. Where the flag records what this kernel does,
# the recording is the evidence and not to be made anew by the way.
GOLDEN = $(shell grep -r --include='*_test.go' 'flag.Bool."update"' . | grep -v 'this kernel' | cut -d: -f1 | \
	xargs -n1 dirname | sort -u)

.PHONY: help run build test lint bench golden man claims clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 24

run: build ## build ctsim and replay the main case, flush-multi-backend
	@.ci/install iptables
	@.ci/privileged bin/ctsim run flush-multi-backend

build: ## build bin/ctsim, a static binary
	CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -ldflags '-s -w -X main.version=$(VERSION)' -o bin/ctsim ./cmd/ctsim

test: ## go vet and all tests, those that need a kernel too
	@.ci/install iptables conntrack ip ss unshare setpriv nsenter tshark
	$(GO) vet ./...
	@GO='$(GO)' .ci/test

# What `ctsim try` is shown on, by the names of their commands.
APPS = initdb psql redis-server redis-cli nginx curl ssh sshd

test-apps: ## ctsim try on psql, redis-cli, curl and ssh, which it installs
	@.ci/install iptables unshare $(APPS)
	@CTSIM_TEST_APPS=1 GO='$(GO)' .ci/test ./cmd/ctsim -run TestKernelApplications

applications: ## write from real runs into docs/applications.md which of them survives what
	@.ci/install iptables unshare $(APPS)
	@CTSIM_TEST_APPS=1 GO='$(GO)' .ci/test ./cmd/ctsim -run TestKernelApplications -update-applications

lint: ## gofmt, go vet, staticcheck
	@files=$$(gofmt -l .); if [ -n "$$files" ]; then echo "not formatted: gofmt -w" $$files >&2; exit 1; fi
	$(GO) vet ./... $(BENCH)
	$(GO) run $(STATICCHECK) ./... $(BENCH)

bench: build ## time the main case against a shell script that does the same, in pairs
	@.ci/install iptables conntrack ip unshare
	CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -o bin/ $(BENCH)
	@.ci/privileged bin/bench

golden: ## rewrite the golden files from what the code does now; read the diff before you commit
	$(GO) test $(GOLDEN) -update

man: build ## write the manual page dist/ctsim.1
	@mkdir -p dist
	bin/ctsim man > dist/ctsim.1

claims: build ## run every scenario and write what this kernel says to its claim into docs/claims.md
	@.ci/install iptables
	@{ printf '# The claims, and what a kernel said to them\n\nMade by `make claims` from a real run of every built-in scenario.\n\n'; \
	.ci/privileged bin/ctsim run --all --output markdown; } > docs/claims.md.new && mv docs/claims.md.new docs/claims.md

clean: ## delete what the other targets built
	rm -rf bin dist
