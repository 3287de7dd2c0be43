# What people type. `just` alone lists it; nothing here is needed to build or test.

_default:
    @just --list

# Everything that CI runs
ci:
    bash .ci/run

# Format
fmt:
    cargo fmt

# Lints, warnings are errors
lint:
    cargo clippy --all-targets -- -D warnings

# Every test
test *args:
    cargo test {{args}}

# The whole relay on loopback
demo *args:
    cargo run --release -- demo {{args}}

# Measure the relay on this machine
bench *args:
    cargo run --release -- bench {{args}}

# Advisories, licences, sources (needs cargo-deny and its database)
deny:
    cargo deny check

# The documentation, as a reader sees it
doc:
    cargo doc --no-deps --open
