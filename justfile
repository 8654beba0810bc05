# For people who have `just`; every recipe is one command that works without it.

# Lists the recipes.
default:
    @just --list

# Builds and serves the example on https://localhost:8443.
demo *ARGS:
    ./scripts/demo {{ARGS}}

# Installs what tests need and runs every check.
test:
    ./scripts/test

# The quick checks, before a commit.
check:
    cargo fmt --check
    cargo clippy --all-targets -- -D warnings

# Compares the CPU time of a request with nginx.
bench *ARGS:
    cargo build --release
    ./benches/load/run {{ARGS}}

# Times every operation by itself; give a part of a name to choose.
micro *ARGS:
    cargo bench --bench micro -- {{ARGS}}

# Counts the instructions of every operation, against the budget.
instructions *ARGS:
    ./scripts/instructions {{ARGS}}
