use super::*;

#[test]
fn dates_are_those_of_the_calendar() {
    for days in (-1_000_000..1_000_000).step_by(97) {
        let (year, month, day) = date_from_days(days);
        assert_eq!(days_from_date(year, month, day), days);
    }
    assert_eq!(parse("2100-03-01t00:00:00.000000001z"), Some(4_107_542_400 * NANOS + 1));
}
