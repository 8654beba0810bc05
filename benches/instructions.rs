//! How many instructions each operation takes, against its budget in `budgets.txt`: `scripts/instructions`.
#![expect(
    missing_docs,
    clippy::exit,
    reason = "what the macros of gungraun expand to"
)]

use gungraun::{
    Callgrind, EventKind, LibraryBenchmarkConfig, library_benchmark, library_benchmark_group, main,
};

mod operations;

/// How often an operation is done in a count: what happens now and then must weigh little.
const TIMES: u64 = 100;

/// More than the budget that is no failure, in per cent.
fn tolerance(name: &str) -> u64 {
    // The thread that writes the log takes the buffer when it comes to it, and the next one has to grow anew.
    if name.starts_with("log/") { 30 } else { 5 }
}

/// The budget of `name`, for all its runs.
fn budget(name: &str) -> LibraryBenchmarkConfig {
    let line = include_str!("budgets.txt")
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let budget: u64 = line
        .and_then(|number| number.trim().parse().ok())
        .expect("benches/budgets.txt has a line with a number for every operation");
    let most = budget * TIMES * (100 + tolerance(name)) / 100;
    let mut callgrind = Callgrind::default();
    callgrind.hard_limits([(EventKind::Ir, most)]);
    let mut config = LibraryBenchmarkConfig::default();
    config.tool(callgrind);
    config
}

#[library_benchmark]
#[bench::router_one(args = ("router/one"), setup = operations::prepare, config = budget("router/one"))]
#[bench::router_many(args = ("router/many"), setup = operations::prepare, config = budget("router/many"))]
#[bench::balancer_one(args = ("balancer/one"), setup = operations::prepare, config = budget("balancer/one"))]
#[bench::balancer_least_requests(args = ("balancer/least_requests"), setup = operations::prepare, config = budget("balancer/least_requests"))]
#[bench::balancer_round_robin(args = ("balancer/round_robin"), setup = operations::prepare, config = budget("balancer/round_robin"))]
#[bench::balancer_peak_ewma(args = ("balancer/peak_ewma"), setup = operations::prepare, config = budget("balancer/peak_ewma"))]
#[bench::balancer_hash(args = ("balancer/hash"), setup = operations::prepare, config = budget("balancer/hash"))]
#[bench::limiter_check(args = ("limiter/check"), setup = operations::prepare, config = budget("limiter/check"))]
#[bench::fields_request(args = ("fields/request"), setup = operations::prepare, config = budget("fields/request"))]
#[bench::fields_forwarded(args = ("fields/forwarded"), setup = operations::prepare, config = budget("fields/forwarded"))]
#[bench::fields_hop_by_hop(args = ("fields/hop_by_hop"), setup = operations::prepare, config = budget("fields/hop_by_hop"))]
#[bench::fields_security(args = ("fields/security"), setup = operations::prepare, config = budget("fields/security"))]
#[bench::log_json(args = ("log/json"), setup = operations::prepare, config = budget("log/json"))]
#[bench::log_combined(args = ("log/combined"), setup = operations::prepare, config = budget("log/combined"))]
#[bench::client_decode_head(args = ("client/decode_head"), setup = operations::prepare, config = budget("client/decode_head"))]
#[bench::client_decode_chunked(args = ("client/decode_chunked"), setup = operations::prepare, config = budget("client/decode_chunked"))]
#[bench::stack_socket(args = ("stack/socket"), setup = operations::prepare, config = budget("stack/socket"))]
#[bench::stack_respond(args = ("stack/respond"), setup = operations::prepare, config = budget("stack/respond"))]
#[bench::stack_files(args = ("stack/files"), setup = operations::prepare, config = budget("stack/files"))]
#[bench::stack_proxied(args = ("stack/proxied"), setup = operations::prepare, config = budget("stack/proxied"))]
#[bench::stack_proxied_many(args = ("stack/proxied_many"), setup = operations::prepare, config = budget("stack/proxied_many"))]
fn operation(mut operation: operations::Operation) -> operations::Operation {
    for _ in 0..TIMES {
        operation();
    }
    // Given back, so that its end is not counted.
    operation
}

library_benchmark_group!(name = all; benchmarks = operation);

main!(library_benchmark_groups = all);
