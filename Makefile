# `make up` builds chatroom and runs it, `make test` runs everything that has to pass. `make chaos` is ten minutes of one test,
# `make nightly` runs what needs more agent CLIs than `make test` installs.
# Both install what they lack on a fresh Debian machine that has cargo, Node.js and npm.

CARGO ?= cargo
TARGET_DIR = $(or $(CARGO_TARGET_DIR),target)

.PHONY: up test chaos nightly

up:
	@scripts/build-tools
	@scripts/api-viewer
	@scripts/web
	$(CARGO) build --release --locked --package chatroom
	@exec $(TARGET_DIR)/release/chatroom up $(UP_FLAGS)

test:
	@scripts/build-tools
	@scripts/test-tools
	@scripts/api-viewer
	@scripts/web
	$(CARGO) fmt --all -- --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	$(CARGO) deny --locked check bans licenses sources
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --document-private-items --locked
	$(CARGO) test --workspace --doc --locked
	@scripts/agent-clis
	@scripts/official-clients
	@scripts/page-tests
	# Apart, because its tests' dependencies switch on features of serde_json that the program is not built with.
	$(CARGO) nextest run --package chatroom-protocol --locked
	@scripts/with-postgres $(CARGO) nextest run --workspace --exclude chatroom-protocol --locked

chaos:
	@scripts/build-tools
	@scripts/test-tools
	@scripts/official-clients
	CHATROOM_CHAOS_SECONDS=600 $(CARGO) nextest run --package chatroom --locked --no-capture clients::chaos

nightly:
	@scripts/build-tools
	@scripts/test-tools
	@scripts/agent-clis
	@scripts/agent-clis nightly
	$(CARGO) nextest run --package chatroom --locked --run-ignored only
