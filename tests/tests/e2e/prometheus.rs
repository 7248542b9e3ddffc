//! The real Prometheus scrapes a running server.

use serde_json::Value;
use vivace_e2e::prometheus::{Prometheus, programs, repository};

use crate::metrics::busy_server;

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_scrapes_and_evaluates() {
    let Some(programs) = programs() else { return };
    let server = busy_server().await;
    let address = server.addresses().http.clone();
    let prometheus = Prometheus::start(&programs, &address).await;

    assert_eq!(value(&prometheus.until("up{job=\"vivace\"} == 1").await), 1.0);
    let taken = "tempo_distributor_spans_received_total{job=\"vivace\", tenant=\"single-tenant\"}";
    assert!(value(&prometheus.until(taken).await) > 0.0);
    let targets = prometheus.api("targets").await;
    let target = &targets["activeTargets"][0];
    assert_eq!((&target["health"], &target["lastError"]), (&Value::from("up"), &Value::from("")));

    let rules = evaluated(&prometheus).await;
    assert!(rules.len() > 10, "{rules:#?}");
    for rule in &rules {
        assert_eq!((&rule["health"], &rule["state"]), (&"ok".into(), &"inactive".into()), "{rule:#}");
    }
    every_panel_can_be_drawn(&prometheus).await;

    drop(server);
    let firing = "ALERTS{alertname=\"VivaceDown\", job=\"vivace\"}";
    assert_eq!(prometheus.until(firing).await[0]["metric"]["instance"], address);
}

/// All rules, once each has been evaluated.
async fn evaluated(prometheus: &Prometheus) -> Vec<Value> {
    loop {
        let answer = prometheus.api("rules").await;
        let groups = answer["groups"].as_array().expect("groups").clone();
        let rules: Vec<Value> =
            groups.iter().flat_map(|group| group["rules"].as_array().expect("rules").clone()).collect();
        if rules.iter().all(|rule| rule["health"] != "unknown") {
            return rules;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

/// Asks what each panel of the dashboard asks.
async fn every_panel_can_be_drawn(prometheus: &Prometheus) {
    let dashboard = std::fs::read(repository("deploy/grafana/vivace.json")).expect("the dashboard is there");
    let dashboard: Value = serde_json::from_slice(&dashboard).expect("it is JSON");
    let mut drawn = 0;
    for panel in dashboard["panels"].as_array().expect("panels") {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let expression = target["expr"].as_str().expect("an expression");
            let expression = expression
                .replace("$__rate_interval", "1m")
                .replace("$job", "vivace")
                .replace("$instance", ".*");
            assert!(!expression.contains('$'), "{expression}");
            prometheus.query(&expression).await;
            drawn += 1;
        }
    }
    assert!(drawn > 30, "{drawn}");
}

fn value(samples: &[Value]) -> f64 {
    samples[0]["value"][1].as_str().and_then(|text| text.parse().ok()).expect("a number")
}
