//! Metalink 4 (RFC 5854): files, where each is to be had, and what it should be.

use roxmltree::{Document, Node};

use super::checksum::{Checksum, Pieces};
use super::list::{ListItem, Wanted, url};
use super::name;

/// The items of a Metalink. `Err`: it is none.
pub(crate) fn items(text: &str) -> Result<Vec<ListItem>, String> {
    let document = Document::parse(text).map_err(|error| format!("no Metalink: {error}"))?;
    let root = document.root_element();
    if root.tag_name().name() != "metalink" {
        return Err(format!(
            "no Metalink: its root is `{}`",
            root.tag_name().name()
        ));
    }
    let files: Vec<ListItem> = named(root, "file").map(item).collect();
    if files.is_empty() {
        return Err("a Metalink of version 4 has a `file` in it; this one has none".to_owned());
    }
    Ok(files)
}

fn named<'a>(node: Node<'a, 'a>, name: &'static str) -> impl Iterator<Item = Node<'a, 'a>> {
    node.children()
        .filter(move |child| child.tag_name().name() == name)
}

fn item(file: Node<'_, '_>) -> ListItem {
    let out = file.attribute("name").unwrap_or_default();
    ListItem {
        text: out.to_owned(),
        wanted: wanted(file, out),
    }
}

fn wanted(file: Node<'_, '_>, out: &str) -> Result<Wanted, String> {
    name::within(out)?;
    let text = |node: Node<'_, '_>| node.text().unwrap_or_default().trim().to_owned();
    let mut sources = Vec::new();
    for source in named(file, "url") {
        let priority: u32 = source
            .attribute("priority")
            .and_then(|number| number.parse().ok())
            .unwrap_or(999_999);
        // Others, as ftp, are for other programs.
        if let Ok(url) = url(&text(source)) {
            sources.push((priority, url));
        }
    }
    sources.sort_by_key(|(priority, _)| *priority);
    if sources.is_empty() {
        return Err("no source of it is an http or https URL".to_owned());
    }
    let mut wanted = Wanted::new(sources.into_iter().map(|(_, url)| url).collect());
    wanted.out = Some(out.to_owned());
    wanted.size = named(file, "size")
        .next()
        .map(text)
        .and_then(|size| size.parse().ok());
    // The strongest of those that we know.
    let read = |hash: Node<'_, '_>| {
        let kind = hash.attribute("type").unwrap_or_default();
        Checksum::new(kind, &text(hash))
    };
    let hashes: Vec<Result<Checksum, String>> = named(file, "hash").map(read).collect();
    let known = hashes.iter().flatten().max_by_key(|sum| sum.strength());
    wanted.checksum = known.cloned();
    if let Some(pieces) = named(file, "pieces").next() {
        wanted.pieces = Some(self::pieces(pieces)?);
    }
    // What it should be is said, and cannot be checked: that is not passed over.
    if let (None, None, Some(Err(why))) = (&wanted.checksum, &wanted.pieces, hashes.first()) {
        return Err(format!("its checksum cannot be checked: {why}"));
    }
    Ok(wanted)
}

fn pieces(pieces: Node<'_, '_>) -> Result<Pieces, String> {
    let length = pieces
        .attribute("length")
        .and_then(|length| length.parse().ok());
    let length = length.filter(|length| *length > 0);
    let length = length.ok_or("the length of its pieces makes no sense")?;
    let kind = pieces.attribute("type").unwrap_or_default();
    let text = |hash: Node<'_, '_>| hash.text().unwrap_or_default().trim().to_owned();
    let each = named(pieces, "hash").map(|hash| Checksum::new(kind, &text(hash)));
    let each = each.collect::<Result<_, _>>();
    let each = each.map_err(|why| format!("its pieces cannot be checked: {why}"))?;
    Ok(Pieces { length, each })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_have_sources_by_priority_and_the_strongest_checksum() {
        let text = r#"<?xml version="1.0"?>
            <metalink xmlns="urn:ietf:params:xml:ns:metalink">
              <file name="dir/a.iso">
                <size>3</size>
                <hash type="md5">900150983cd24fb0d6963f7d28e17f72</hash>
                <hash type="sha-256">ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad</hash>
                <hash type="whirlpool">00</hash>
                <url priority="2">http://second/a.iso</url>
                <url priority="1">http://first/a.iso</url>
                <url priority="1">ftp://other/a.iso</url>
              </file>
              <file name="../b"><url>http://x/b</url></file>
              <file name="c"/>
            </metalink>"#;
        let items = items(text).expect("a Metalink");
        let first = items[0].wanted.as_ref().expect("sense");
        let sources: Vec<&str> = first.sources.iter().map(|url| url.as_str()).collect();
        assert_eq!(sources, ["http://first/a.iso", "http://second/a.iso"]);
        assert!(
            first
                .checksum
                .as_ref()
                .is_some_and(|sum| sum.to_string().starts_with("sha256:"))
        );
        assert_eq!(
            (first.size, first.out.as_deref()),
            (Some(3), Some("dir/a.iso"))
        );
        assert!(items[1].wanted.is_err() && items[2].wanted.is_err());
    }

    #[test]
    fn what_is_none_is_refused() {
        for text in [
            "",
            "x",
            "<a/>",
            "<metalink/>",
            "<!DOCTYPE a [<!ENTITY b 'c'>]><metalink>&b;</metalink>",
        ] {
            assert!(items(text).is_err(), "{text}");
        }
    }
}
