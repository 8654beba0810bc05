//! How long each operation takes: `cargo bench --bench micro`, or `-- router` for those with that in their name.

use criterion::Criterion;

mod operations;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    for (name, _) in operations::ALL {
        criterion.bench_function(name, |bencher| {
            let mut operation = operations::prepare(name);
            bencher.iter(&mut operation);
        });
    }
    criterion.final_summary();
}
