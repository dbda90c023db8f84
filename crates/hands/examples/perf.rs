use hands::command::batch::*;
fn main() {
    let n: usize = std::env::args().nth(1).unwrap().parse().unwrap();
    let prog = std::env::args().nth(2).unwrap();
    let t = std::time::Instant::now();
    let s = Batch::new()
        .jobs(2)
        .grouping(if std::env::args().nth(3).is_some() {
            Grouping::Ordered
        } else {
            Grouping::Jobs
        })
        .run(
            Commands::new((0..n).map(|i| vec![prog.clone().into(), i.to_string().into()])),
            &mut (),
        )
        .unwrap();
    eprintln!("{s:?} {:.0}/s", n as f64 / t.elapsed().as_secs_f64());
}
