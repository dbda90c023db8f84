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

#[cfg(test)]
mod tests {
    use super::*;

    fn told(attribute: &str, function: ItemFn) -> String {
        let attribute = attribute.parse().expect("tokens");
        let error = with_init(&attribute, function).expect_err("refused");
        error.to_string()
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
