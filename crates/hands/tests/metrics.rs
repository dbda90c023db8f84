//! The metrics of OpenTelemetry, as a collector gets them.
#![cfg(feature = "opentelemetry")]
#![allow(
    clippy::unwrap_used,
    reason = "a test that unwraps fails with the error in hand"
)]

use std::collections::BTreeMap;

use hands::event::MetricsExport;
use hands::pool::{Pool, ThreadPool};
use opentelemetry::metrics::MeterProvider;
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData};
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, SdkMeterProvider};

fn odd_ones_panic(n: u64) -> u64 {
    assert!(n.is_multiple_of(2), "{n} is odd");
    n
}

/// The points of a collection: `name{attribute=value,…}` and what they say.
fn points(exporter: &InMemoryMetricExporter) -> BTreeMap<String, f64> {
    let mut all = BTreeMap::new();
    let collected = exporter.get_finished_metrics().unwrap();
    let last = collected.last().expect("a collection");
    for metric in last.scope_metrics().flat_map(|scope| scope.metrics()) {
        let mut add = |attributes: Vec<String>, value: f64| {
            let mut attributes = attributes;
            attributes.sort();
            let name = format!(
                "{} {}{{{}}}",
                metric.name(),
                metric.unit(),
                attributes.join(",")
            );
            all.insert(name, value);
        };
        macro_rules! each {
            ($data:expr) => {
                for point in $data.data_points() {
                    let attributes = point.attributes();
                    let attributes = attributes.map(|one| format!("{}={}", one.key, one.value));
                    add(attributes.collect(), point.value() as f64);
                }
            };
        }
        match metric.data() {
            AggregatedMetrics::U64(MetricData::Gauge(gauge)) => each!(gauge),
            AggregatedMetrics::U64(MetricData::Sum(sum)) => each!(sum),
            AggregatedMetrics::F64(MetricData::Gauge(gauge)) => each!(gauge),
            other => panic!("{}: {other:?}", metric.name()),
        }
    }
    all
}

#[test]
fn a_collector_gets_counts_and_quantiles_of_a_pool() {
    let exporter = InMemoryMetricExporter::default();
    let provider = SdkMeterProvider::builder()
        .with_periodic_exporter(exporter.clone())
        .build();
    let pool = ThreadPool::with_workers(2).unwrap();
    let export = MetricsExport::start(&pool.events(), &provider.meter("test"), "numbers").unwrap();
    for n in 0..100 {
        drop(pool.submit(odd_ones_panic, n));
    }
    pool.join();
    assert_eq!(export.with(|figures| figures.finished()), 100);
    provider.force_flush().unwrap();
    let got = points(&exporter);
    let is = |name: &str| {
        *got.get(name)
            .unwrap_or_else(|| panic!("no {name} in {got:#?}"))
    };
    assert_eq!(
        is("hands.tasks.finished {task}{outcome=well,pool=numbers}"),
        50.0
    );
    assert_eq!(
        is("hands.tasks.finished {task}{outcome=panicked,pool=numbers}"),
        50.0
    );
    assert_eq!(
        is("hands.tasks.finished {task}{outcome=died,pool=numbers}"),
        0.0
    );
    assert_eq!(is("hands.tasks.running {task}{pool=numbers}"), 0.0);
    assert_eq!(is("hands.tasks.waiting {task}{pool=numbers}"), 0.0);
    assert_eq!(is("hands.bytes By{pool=numbers}"), 0.0);
    let times = ["0.5", "0.9", "0.99"].map(|share| {
        is(&format!(
            "hands.tasks.run_time s{{pool=numbers,quantile={share}}}"
        ))
    });
    assert!(
        times[0] > 0.0 && times[0] <= times[1] && times[1] <= times[2],
        "{times:?}"
    );
    assert!(is("hands.tasks.wait_time s{pool=numbers,quantile=0.5}") > 0.0);
    // Once it is gone, nothing is told of it, and the pool has a place for another listener.
    drop(export);
    exporter.reset();
    provider.force_flush().unwrap();
    let listeners: Vec<_> = (0..8).map(|_| pool.events().listen().unwrap()).collect();
    assert_eq!(listeners.len(), 8);
}
