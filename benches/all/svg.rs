//! The figures as pictures: how far each is on the good side of its target, and how cost grows with the work.

use std::path::Path;

use plotters::prelude::*;
use serde_json::Value;

use crate::support::{Failure, say};

/// Writes `targets.svg` and, where the figures have it, `growth.svg` into `folder`.
pub(crate) fn draw(lines: &[Value], folder: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(folder)?;
    targets(lines, &folder.join("targets.svg"))?;
    growth(lines, &folder.join("growth.svg"))?;
    say(format_args!("plots are in {}", folder.display()));
    Ok(())
}

/// One bar per figure with a target: 1 is the target, more is better, whichever way it points.
fn targets(lines: &[Value], path: &Path) -> Result<(), Failure> {
    let bars: Vec<(String, [f64; 3], bool)> = lines.iter().filter_map(bar).collect();
    if bars.is_empty() {
        return Ok(());
    }
    let height = 60 + 18 * u32::try_from(bars.len())?;
    let canvas = SVGBackend::new(path, (900, height)).into_drawing_area();
    canvas.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&canvas)
        .margin(10)
        .caption("times as good as the target", ("sans-serif", 16))
        .set_label_area_size(LabelAreaPosition::Left, 260)
        .set_label_area_size(LabelAreaPosition::Bottom, 24)
        .build_cartesian_2d((0.1..10.0).log_scale(), 0..bars.len())?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .x_desc("target = 1")
        .draw()?;
    for (place, (name, [low, middle, high], pass)) in bars.iter().rev().enumerate() {
        let colour = if *pass { GREEN.mix(0.6) } else { RED.mix(0.6) };
        let ends = [(1.0, place), (middle.clamp(0.1, 10.0), place + 1)];
        let spread = [low, high].map(|end| end.clamp(0.1, 10.0));
        chart.draw_series([Rectangle::new(ends, colour.filled())])?;
        chart.draw_series(
            spread.map(|end| PathElement::new(vec![(end, place), (end, place + 1)], BLACK)),
        )?;
        let at = chart.backend_coord(&(0.1, place));
        let text = Text::new(name.clone(), (12, at.1 - 15), ("sans-serif", 12));
        canvas.draw(&text)?;
    }
    canvas.present()?;
    Ok(())
}

/// A figure as how many times as good as its target it is: the bounds of its interval and its median.
fn bar(line: &Value) -> Option<(String, [f64; 3], bool)> {
    let target = line["target"].as_f64().filter(|target| *target > 0.0)?;
    let parts = ["ci_lo", "ratio_median", "ci_hi"].map(|field| line[field].as_f64());
    let [Some(low), Some(middle), Some(high)] = parts else {
        return None;
    };
    let at_most = line["wanted"].as_str()?.starts_with("<=");
    let good = |value: f64| {
        if at_most {
            target / value.max(1e-9)
        } else {
            value / target
        }
    };
    let name = line["name"].as_str()?.to_owned();
    Some((name, [low, middle, high].map(good), line["pass"] == true))
}

/// Seconds by files and by GiB.
fn growth(lines: &[Value], path: &Path) -> Result<(), Failure> {
    let points = |unit: &str| -> Vec<(f64, f64)> {
        let prefix = format!("scale.{unit}_");
        lines
            .iter()
            .filter_map(|line| {
                let amount = line["name"].as_str()?.strip_prefix(&prefix)?.parse().ok()?;
                Some((amount, line["ratio_median"].as_f64()?))
            })
            .collect()
    };
    let (files, lengths) = (points("files"), points("GiB"));
    if files.is_empty() {
        return Ok(());
    }
    let canvas = SVGBackend::new(path, (900, 360)).into_drawing_area();
    canvas.fill(&WHITE)?;
    let halves = canvas.split_evenly((1, 2));
    for (half, (title, points)) in halves
        .iter()
        .zip([("files of 64 KiB", files), ("GiB", lengths)])
    {
        let most = |part: fn(&(f64, f64)) -> f64| points.iter().map(part).fold(1.0, f64::max);
        let mut chart = ChartBuilder::on(half)
            .margin(10)
            .caption(format!("seconds by {title}"), ("sans-serif", 16))
            .set_label_area_size(LabelAreaPosition::Left, 50)
            .set_label_area_size(LabelAreaPosition::Bottom, 24)
            .build_cartesian_2d(
                (1.0..most(|point| point.0) * 1.5).log_scale(),
                (0.001..most(|point| point.1) * 2.0).log_scale(),
            )?;
        chart.configure_mesh().draw()?;
        chart.draw_series(LineSeries::new(points.iter().copied(), &BLUE))?;
        chart.draw_series(
            points
                .iter()
                .map(|point| Circle::new(*point, 3, BLUE.filled())),
        )?;
    }
    canvas.present()?;
    Ok(())
}
