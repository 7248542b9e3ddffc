use axum::http::{HeaderMap, HeaderValue};
use vivace_model::InvalidTenant;

use super::{HEADER, of};

fn headers(values: &[&'static str]) -> HeaderMap {
    values.iter().map(|value| (HEADER.parse().unwrap(), HeaderValue::from_static(value))).collect()
}

#[test]
fn without_multitenancy_the_header_is_ignored() {
    assert_eq!(of(&headers(&["a"]), false).unwrap().as_str(), "single-tenant");
    assert_eq!(of(&headers(&[]), false).unwrap().as_str(), "single-tenant");
}

#[test]
fn with_multitenancy_exactly_one_valid_id_is_needed() {
    assert_eq!(of(&headers(&["a"]), true).unwrap().as_str(), "a");
    assert_eq!(of(&headers(&[]), true), Err(InvalidTenant::Missing));
    assert_eq!(of(&headers(&["a", "b"]), true), Err(InvalidTenant::Missing));
    assert_eq!(of(&headers(&["../x"]), true), Err(InvalidTenant::Unsafe("../x".to_owned())));
}
