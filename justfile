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

# So many kills, checked against a book of its own (SEALPOST_TEST_SEED repeats a run)
soak kills="500":
    SEALPOST_SOAK_KILLS={{kills}} cargo test --locked --test it crash::soak_kills -- --ignored --nocapture

# Half of what the machine sustains, over restarts and reloads: memory, disk, counters (SEALPOST_SOAK_RATE: events a second)
soak-load seconds="3600" profile="release":
    SEALPOST_SOAK_SECONDS={{seconds}} cargo test --locked --profile {{profile}} --test it crash::load -- --ignored --nocapture

# Far more than can be taken, beside senders who send as they should: their p50 and p99, 200s and 429s, memory
siege seconds="60" profile="release":
    SEALPOST_SIEGE_SECONDS={{seconds}} cargo test --locked --profile {{profile}} --test it senders::overload::a_siege -- --ignored --nocapture

# Looks for input that breaks a promise, from the corpus on (by hand: needs cargo-fuzz and a nightly compiler; CONTRIBUTING.md)
fuzz target seconds="600":
    mkdir -p fuzz/corpus/{{target}}
    cargo +nightly fuzz run --sanitizer none {{target}} fuzz/corpus/{{target}} tests/corpora/{{target}} -- -max_total_time={{seconds}} -rss_limit_mb=1500 -max_len=2048 -timeout=10

# Makes of what was found a corpus as small as covers the same code
fuzz-minimise target:
    mkdir -p target/corpora/{{target}}
    cargo +nightly fuzz run --sanitizer none {{target}} target/corpora/{{target}} tests/corpora/{{target}} fuzz/corpus/{{target}} -- -set_cover_merge=1 -use_counters=0 -max_len=2048
    @echo "take what is worth keeping from target/corpora/{{target}} to tests/corpora/{{target}}"

# The whole relay on loopback
demo *args:
    cargo run --release -- demo {{args}}

# What is released, built and tried (CI tries the binary of the tests, which takes half the time)
release:
    cargo build --release --locked
    ./target/release/sealpost demo --once

# Measure the relay on this machine
bench *args:
    cargo run --release -- bench {{args}}

# The relay beside what one would build instead (by hand: needs Node and Python, fetches their packages into target/)
bench-peers *args:
    mkdir -p target/peers
    cp -r benches/peers/express benches/peers/fastapi target/peers/
    npm install --prefix target/peers/express --no-package-lock --no-audit --no-fund --silent
    python3 -m venv target/peers/fastapi/venv
    target/peers/fastapi/venv/bin/pip install --quiet --requirement target/peers/fastapi/requirements.txt
    cargo run --release -- bench --peer "node target/peers/express/server.js" \
        --peer "sh benches/peers/fastapi/start.sh target/peers/fastapi/venv" {{args}}

# Far more events at once than a template's brake lets through: 2,000,000 against 1,000
flood events="2000000":
    cargo run --release -- bench --flood {{events}}

# Advisories, licences, sources (needs cargo-deny and its database)
deny:
    cargo deny check

# The same without the advisories: bans, licences, sources; asks nobody
deny-offline:
    cargo deny --offline check bans licenses sources

# What the binary is made of, as CycloneDX: target/sealpost.cdx.json (needs cargo-cyclonedx, by hand)
sbom:
    cargo cyclonedx --format json --spec-version 1.5 --no-build-deps --override-filename sealpost.cdx
    mv sealpost.cdx.json target/sealpost.cdx.json

# The image; your builder decides what `docker` is
image tag="sealpost":
    docker build --file deploy/Dockerfile --tag {{tag}} .

# The documentation, as a reader sees it
doc:
    cargo doc --no-deps --open
