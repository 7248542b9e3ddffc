use super::*;

fn drawn(values: &[f64], width: usize) -> String {
    sparkline(&values.iter().copied().map(Some).collect::<Vec<_>>(), width, true)
}

#[test]
fn heights_go_from_zero_to_the_greatest() {
    assert_eq!(drawn(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], 20), "▁▂▃▄▅▆▇█");
    assert_eq!(drawn(&[5.0, 5.0], 20), "██");
    assert_eq!(drawn(&[0.0, 0.0], 20), "▁▁");
    assert_eq!(drawn(&[-7.0, 0.0], 20), "▁█");
    assert_eq!(drawn(&[f64::INFINITY, 1.0, f64::NEG_INFINITY], 20), "██▁");
    assert_eq!(drawn(&[], 20), "");
    assert_eq!(sparkline(&[Some(1.0), None, Some(0.0)], 20, false), "# _");
}

#[test]
fn many_steps_share_a_character_and_show_their_greatest() {
    assert_eq!(drawn(&[0.0, 0.0, 7.0, 0.0, 0.0, 0.0], 3), "▁█▁");
    assert_eq!(drawn(&[1.0; 1000], 40).chars().count(), 40);
    assert_eq!(sparkline(&[None, None, Some(1.0), None], 2, true), " █");
}
