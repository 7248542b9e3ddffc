use vivace_model::Trace;
use vivace_testkit::TraceGenerator;

use super::*;

async fn fitting_of(
    trace: &Trace,
    bytes: Option<u64>,
    spans: Option<usize>,
) -> Option<(&'static str, usize)> {
    let portions = TracePortions::of(trace.clone(), None);
    let exceeded = MaxSize { bytes, spans }.exceeded(portions).await.unwrap();
    exceeded.map(|too_large| (too_large.limit, too_large.fitting))
}

#[tokio::test]
async fn as_many_spans_fit_as_take_no_more_than_the_limit() {
    let trace = Trace::assemble(TraceGenerator::new(1).trace(50)).unwrap();
    let length = |count: usize| encoded_len(&trace.spans()[..count]) as u64;
    let (all, count) = (length(trace.spans().len()), trace.spans().len());
    assert_eq!(fitting_of(&trace, Some(all), Some(count)).await, None);
    assert_eq!(fitting_of(&trace, Some(all - 1), None).await.unwrap().0, "max_bytes_per_trace");
    assert_eq!(fitting_of(&trace, None, Some(count - 1)).await, Some(("max_spans_per_trace", count - 1)));
    for fitting in [1, 7, count - 1] {
        for bytes in [length(fitting), length(fitting + 1) - 1] {
            let expected = Some(("max_bytes_per_trace", fitting));
            assert_eq!(fitting_of(&trace, Some(bytes), None).await, expected);
            assert_eq!(fitting_of(&trace, Some(bytes), Some(fitting)).await, expected);
        }
    }
    assert_eq!(fitting_of(&trace, Some(length(9)), Some(5)).await, Some(("max_spans_per_trace", 5)));
    assert_eq!(fitting_of(&trace, Some(1), None).await, Some(("max_bytes_per_trace", 0)));
}
