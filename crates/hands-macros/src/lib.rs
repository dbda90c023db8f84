//! The attributes of the crate `hands`, which exports and documents them.
#![forbid(unsafe_code)]

use proc_macro::TokenStream;
use quote::quote;
use syn::{Error, ItemFn, parse_macro_input, parse_quote};

/// See `hands::main`.
#[proc_macro_attribute]
pub fn main(attribute: TokenStream, item: TokenStream) -> TokenStream {
    let attribute = proc_macro2::TokenStream::from(attribute);
    let function = parse_macro_input!(item as ItemFn);
    with_init(&attribute, function)
        .unwrap_or_else(Error::into_compile_error)
        .into()
}

/// The function, beginning with `hands::init()`; one that is async, on a runtime that is started
/// behind that.
fn with_init(
    attribute: &proc_macro2::TokenStream,
    mut function: ItemFn,
) -> Result<proc_macro2::TokenStream, Error> {
    if !attribute.is_empty() {
        return Err(Error::new_spanned(
            attribute,
            "`#[hands::main]` takes no arguments",
        ));
    }
    let signature = &function.sig;
    if signature.ident != "main" {
        return Err(Error::new_spanned(
            &signature.ident,
            "`#[hands::main]` is for `main`: in no other function would it come first",
        ));
    }
    if function.sig.asyncness.take().is_some() {
        let body = function.block;
        function.block = parse_quote!({
            let _hands = ::hands::init();
            ::hands::block_on_main(async move #body)
        });
        return Ok(quote!(#function));
    }
    function
        .block
        .stmts
        .insert(0, parse_quote!(let _hands = ::hands::init();));
    Ok(quote!(#function))
}

/// See `hands::task`.
#[proc_macro_attribute]
pub fn task(attribute: TokenStream, item: TokenStream) -> TokenStream {
    let attribute = proc_macro2::TokenStream::from(attribute);
    let function = parse_macro_input!(item as ItemFn);
    registered(&attribute, &function)
        .unwrap_or_else(Error::into_compile_error)
        .into()
}

/// The function, and its entry on the list.
fn registered(
    attribute: &proc_macro2::TokenStream,
    function: &ItemFn,
) -> Result<proc_macro2::TokenStream, Error> {
    if !attribute.is_empty() {
        return Err(Error::new_spanned(
            attribute,
            "`#[hands::task]` takes no arguments",
        ));
    }
    let signature = &function.sig;
    if signature.inputs.len() != 1 {
        return Err(Error::new_spanned(
            signature,
            "a task has one argument; several are a tuple: `fn add((a, b): (u64, u64))`",
        ));
    }
    if !signature.generics.params.is_empty() {
        return Err(Error::new_spanned(
            &signature.generics,
            "a task has no parameters of type: a worker could not know which were meant",
        ));
    }
    let name = &signature.ident;
    let asyncness = &signature.asyncness;
    Ok(quote!(#function ::hands::register_task!(#asyncness fn #name);))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(attribute: &str, function: ItemFn) -> String {
        let attribute = attribute.parse().expect("tokens");
        let error = with_init(&attribute, function).expect_err("refused");
        error.to_string()
    }

    #[test]
    fn a_task_has_one_argument_and_no_parameters() {
        let refused = |function: ItemFn| {
            let error = registered(&Default::default(), &function).expect_err("refused");
            error.to_string()
        };
        let two = parse_quote!(
            fn add(a: u64, b: u64) -> u64 {
                a + b
            }
        );
        assert!(refused(two).contains("one argument"));
        let generic = parse_quote!(
            fn same<T>(value: T) -> T {
                value
            }
        );
        assert!(refused(generic).contains("no parameters"));
        let good = parse_quote!(
            async fn length(text: String) -> usize {
                text.len()
            }
        );
        let whole = registered(&Default::default(), &good)
            .expect("a task")
            .to_string();
        assert!(
            whole.contains("register_task ! (async fn length)"),
            "{whole}"
        );
    }

    #[test]
    fn init_comes_first() {
        let function = parse_quote!(
            fn main() -> Result<(), String> {
                work()
            }
        );
        let whole = with_init(&Default::default(), function).expect("a function");
        let expected = quote!(
            fn main() -> Result<(), String> {
                let _hands = ::hands::init();
                work()
            }
        );
        assert_eq!(whole.to_string(), expected.to_string());
    }

    #[test]
    fn a_runtime_is_started_behind_it() {
        let function = parse_quote!(
            async fn main() -> Result<(), String> {
                work().await
            }
        );
        let whole = with_init(&Default::default(), function).expect("a function");
        let expected = quote!(
            fn main() -> Result<(), String> {
                let _hands = ::hands::init();
                ::hands::block_on_main(async move { work().await })
            }
        );
        assert_eq!(whole.to_string(), expected.to_string());
    }

    #[test]
    fn what_would_not_come_first_is_refused() {
        assert!(
            told(
                "",
                parse_quote!(
                    fn other() {}
                )
            )
            .contains("is for `main`")
        );
        assert!(
            told(
                "x",
                parse_quote!(
                    fn main() {}
                )
            )
            .contains("takes no arguments")
        );
    }
}
