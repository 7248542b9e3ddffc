use axum::http::HeaderMap;
use axum::http::header::ACCEPT;

use super::Exposition;

#[test]
fn open_metrics_is_for_who_asks_for_it() {
    let asked = |accept: &str| {
        let accept = (!accept.is_empty()).then(|| (ACCEPT, accept.parse().unwrap()));
        Exposition::asked(&HeaderMap::from_iter(accept))
    };
    let prometheus = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
                      application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.1";
    assert_eq!(asked(prometheus), Exposition::OpenMetrics);
    assert_eq!(asked("text/plain, application/openmetrics-text"), Exposition::OpenMetrics);
    assert_eq!(asked("application/openmetrics-text;q=0, text/plain"), Exposition::Text);
    assert_eq!(asked("*/*"), Exposition::Text);
    assert_eq!(asked(""), Exposition::Text);
}

#[test]
fn the_text_format_names_counters_as_their_samples_are_named() {
    let open_metrics = "# HELP a Times\n# TYPE a counter\na_total{b=\"# c\"} 1\n\
                        # HELP d_seconds How long\n# TYPE d_seconds gauge\n# UNIT d_seconds seconds\nd_seconds 2.5\n\
                        # HELP e Old name\n# TYPE e unknown\ne 3\n\
                        # HELP f_seconds Spread\n# TYPE f_seconds histogram\nf_seconds_bucket{le=\"+Inf\"} 1\n# EOF\n";
    let text = "# HELP a_total Times\n# TYPE a_total counter\na_total{b=\"# c\"} 1\n\
                # HELP d_seconds How long\n# TYPE d_seconds gauge\nd_seconds 2.5\n\
                # HELP e Old name\n# TYPE e untyped\ne 3\n\
                # HELP f_seconds Spread\n# TYPE f_seconds histogram\nf_seconds_bucket{le=\"+Inf\"} 1\n";
    assert_eq!(Exposition::Text.write(open_metrics.to_owned()), text);
    assert_eq!(Exposition::OpenMetrics.write(open_metrics.to_owned()), open_metrics);
}
