const UNICODE: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const ASCII: [char; 8] = ['_', '.', ':', '-', '=', '+', '*', '#'];

/// Draws values over time in at most `width` characters, from 0 (or the least, if that is less) to the greatest. Each
/// character shows the greatest value of the steps it stands for, a blank none.
pub(super) fn sparkline(values: &[Option<f64>], width: usize, unicode: bool) -> String {
    let levels = if unicode { UNICODE } else { ASCII };
    let finite = || values.iter().flatten().copied().filter(|value| value.is_finite());
    let (low, high) = (finite().fold(0.0, f64::min), finite().fold(0.0, f64::max));
    let level = |value: f64| {
        let share = if value.is_finite() && high > low { (value - low) / (high - low) } else { value };
        levels[(share.clamp(0.0, 1.0) * 7.0).round() as usize % levels.len()]
    };
    let columns = values.len().min(width.max(1));
    let column = |number: usize| {
        let (from, to) = (number * values.len() / columns, (number + 1) * values.len() / columns);
        let inside = values.get(from..to).unwrap_or_default().iter().flatten().copied();
        inside.reduce(f64::max).map_or(' ', level)
    };
    (0..columns).map(column).collect()
}

#[cfg(test)]
mod tests;
