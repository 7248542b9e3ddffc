use super::*;

#[test]
fn kialis_query_is_traceql() {
    let query = kiali_query(SERVICE);
    vivace_traceql::parse(&query).unwrap_or_else(|error| panic!("{query}: {error}"));
}

#[test]
fn an_address_that_listens_everywhere_is_reached_at_home() {
    for (listen, reach) in
        [("0.0.0.0:3200", "127.0.0.1:3200"), ("[::]:1", "[::1]:1"), ("10.0.0.1:2", "10.0.0.1:2")]
    {
        assert_eq!(reachable(listen.parse().unwrap()), reach.parse().unwrap());
    }
}
