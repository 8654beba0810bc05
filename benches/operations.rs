//! What is measured: every operation once, for the clock (`micro`) and for the count (`instructions`).
//!
//! None of them does cryptography: that code is chosen by the processor, so its count says nothing about ours.

mod exchange;
mod fields;
mod routing;
mod whole;

/// Something that is ready to be done any number of times.
pub(crate) type Operation = Box<dyn FnMut()>;

/// Makes an operation ready.
type Make = fn() -> Operation;

/// Every operation, by name.
pub(crate) const ALL: &[(&str, Make)] = &[
    ("router/one", || routing::router(routing::ONE)),
    ("router/many", || routing::router(routing::MANY)),
    ("balancer/one", || routing::balancer("least_requests", 1)),
    ("balancer/least_requests", || {
        routing::balancer("least_requests", 20)
    }),
    ("balancer/round_robin", || {
        routing::balancer("round_robin", 20)
    }),
    ("balancer/peak_ewma", || routing::balancer("peak_ewma", 20)),
    ("balancer/hash", || routing::balancer("hash", 20)),
    ("limiter/check", routing::limiter),
    ("fields/request", fields::request),
    ("fields/forwarded", fields::forwarded),
    ("fields/hop_by_hop", fields::hop_by_hop),
    ("fields/security", fields::security),
    ("log/json", || fields::log_line("json")),
    ("log/combined", || fields::log_line("combined")),
    ("client/decode_head", exchange::decode_head),
    ("client/decode_chunked", exchange::decode_chunked),
    ("stack/socket", whole::socket),
    ("stack/respond", || whole::answer(whole::ONE, "/fixed")),
    ("stack/files", || {
        whole::answer(whole::ONE, "/assets/app.js")
    }),
    ("stack/proxied", || whole::answer(whole::ONE, "/api/todos")),
    ("stack/proxied_many", || {
        whole::answer(whole::MANY, "/api/todos")
    }),
];

/// Makes an operation ready and does it many times, so that what happens once, such as a connection to each backend,
/// has happened.
pub(crate) fn prepare(name: &str) -> Operation {
    let (_, make) = ALL
        .iter()
        .find(|(known, _)| *known == name)
        .expect("the name is one of the list");
    let mut operation = make();
    for _ in 0..400 {
        operation();
    }
    operation
}
