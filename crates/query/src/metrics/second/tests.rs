use super::*;

fn line(name: &str, values: &[f64]) -> Line {
    let labels = vec![("name".to_owned(), Value::from(name))];
    Line { labels, values: values.to_vec(), exemplars: Vec::new() }
}

fn values(lines: &[Line]) -> Vec<Vec<Option<f64>>> {
    let of_line = |line: &Line| line.values.iter().map(|v| Some(*v).filter(|v| !v.is_nan())).collect();
    lines.iter().map(of_line).collect()
}

#[test]
fn the_greatest_of_each_step_stay_and_the_first_of_equal_ones() {
    let lines = vec![line("a", &[1.0, 5.0]), line("b", &[1.0, f64::NAN]), line("c", &[0.0, 9.0])];
    let top = apply(lines.clone(), &[SecondStage::TopK(1)]);
    assert_eq!(values(&top), [[Some(1.0), None], [None, Some(9.0)]]);
    let bottom = apply(lines, &[SecondStage::BottomK(1)]);
    assert_eq!(values(&bottom), [[None, Some(5.0)], [Some(0.0), None]]);
}

#[test]
fn a_filter_drops_samples_and_then_series() {
    let filter = SecondStage::Filter { op: BinaryOp::Gt, value: Static::Duration(2_000_000_000) };
    let kept = apply(vec![line("a", &[1.0, 3.0]), line("b", &[2.0, f64::NAN])], &[filter]);
    assert_eq!(values(&kept), [[None, Some(3.0)]]);
}

#[test]
fn arithmetic_joins_equal_labels_and_drops_what_is_no_number() {
    let left = Term::Lines(vec![line("a", &[1.0, 4.0]), line("b", &[1.0, 1.0])]);
    let right = Term::Lines(vec![line("a", &[0.0, 2.0])]);
    assert_eq!(values(&arithmetic(BinaryOp::Div, left, right)), [[None, Some(2.0)]]);
}
