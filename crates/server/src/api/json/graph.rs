use std::fmt::{Display, Write};

use vivace_query::{Latency, ServiceEdge, ServiceGraph, ServiceNode};

use super::writer::{Object, double, string};

/// Nothing is left out, for it is our own shape; times are seconds, null where there are none.
pub(super) fn write(graph: &ServiceGraph, root: &mut Object<'_>) {
    root.array("nodes", &graph.nodes, node);
    root.array("edges", &graph.edges, edge);
    if let Some(partial) = &graph.partial {
        root.string("partial", partial);
    }
}

fn node(node: &ServiceNode, out: &mut String) {
    let mut object = Object::open(out);
    string(object.key("service"), &node.service);
    plain(&mut object, "requests", node.requests);
    plain(&mut object, "errors", node.errors);
    latency(&mut object, ["p50", "p95", "p99"], node.latency);
    plain(&mut object, "virtual", node.is_virtual);
    object.close();
}

fn edge(edge: &ServiceEdge, out: &mut String) {
    let mut object = Object::open(out);
    string(object.key("client"), &edge.client);
    string(object.key("server"), &edge.server);
    string(object.key("connectionType"), edge.connection_type);
    plain(&mut object, "calls", edge.calls);
    plain(&mut object, "errors", edge.errors);
    latency(&mut object, ["clientP50", "clientP95", "clientP99"], edge.client_latency);
    latency(&mut object, ["serverP50", "serverP95", "serverP99"], edge.server_latency);
    object.close();
}

fn latency(object: &mut Object<'_>, keys: [&str; 3], latency: Option<Latency>) {
    let values = latency.map_or([None; 3], |known| [known.p50, known.p95, known.p99].map(Some));
    for (key, value) in keys.into_iter().zip(values) {
        match value {
            Some(seconds) => double(object.key(key), seconds),
            None => plain(object, key, "null"),
        }
    }
}

fn plain(object: &mut Object<'_>, key: &str, value: impl Display) {
    // Writing to a String cannot fail.
    let _ = write!(object.key(key), "{value}");
}
