//! Plain text with placeholders in it, filled in for each job.

use super::JobArgs;
use super::parts::{TemplatePart, join_row, parts};
use super::placeholder::InputNames;
use super::plan::TemplateOptions;

/// Plain text with the placeholders of a command in it, for `--tagstring` and `--results`.
///
/// All inputs of a `{}` are joined by a space. There is no quoting and nothing is added to a text
/// without placeholders.
///
/// ```
/// use hands_batch::template::{JobArgs, TemplateOptions, TemplateText};
///
/// let options = TemplateOptions { names: vec![b"file".to_vec(), b"year".to_vec()], ..TemplateOptions::default() };
/// let text = TemplateText::parse(b"{#}: {/.} of {year}", &options);
/// let rows = [vec![b"logs/a.txt".to_vec(), b"2024".to_vec()]];
/// let args = JobArgs { rows: &rows, seq: 7, slot: 1 };
/// assert_eq!(text.expand(&args), b"7: a 2024 of 2024");
/// ```
#[derive(Clone, Debug)]
pub struct TemplateText(Vec<TemplatePart>);

impl TemplateText {
    /// Reads `text`. Of the options the names and the rules count.
    pub fn parse(text: &[u8], options: &TemplateOptions) -> Self {
        Self(parts(
            text,
            &InputNames::new(&options.names, &options.rules),
        ))
    }

    /// The text for one job. A number past the last input is empty.
    pub fn expand(&self, args: &JobArgs<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        for part in &self.0 {
            match part {
                TemplatePart::Literal(text) => out.extend_from_slice(text),
                TemplatePart::Value(placeholder) if placeholder.is_inputs() => {
                    for (place, row) in args.rows.iter().enumerate() {
                        if place > 0 {
                            out.push(b' ');
                        }
                        join_row(&mut out, *placeholder, row);
                    }
                }
                TemplatePart::Value(placeholder) => {
                    out.extend_from_slice(&placeholder.value(args).unwrap_or_default());
                }
            }
        }
        out
    }
}
