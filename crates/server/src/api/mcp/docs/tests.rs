use super::*;

#[test]
fn a_chapter_ends_where_the_next_begins() {
    let page = "# Book\n\nPreface\n\n## One\n\na\n\n### Part\n\nb\n\n## One more\n\nc\n";
    assert_eq!(chapter(page, "One"), "## One\n\na\n\n### Part\n\nb");
    assert_eq!(chapter(page, "One more"), "## One more\n\nc");
    assert_eq!(chapter(page, "Part"), "");
    assert_eq!(chapter(page, "Two"), "");
}

/// Nothing of the language is missing: preface and chapters together are the page.
#[test]
fn the_pages_are_the_whole_of_the_language() {
    let chapters = PAGES.iter().filter(|page| page.topic == "traceql").map(|page| page.text().into_owned());
    let chapters: Vec<String> = chapters.collect();
    let preface = TRACEQL.split("\n## ").next().unwrap();
    assert_eq!(format!("{preface}\n{}\n", chapters.join("\n\n")), TRACEQL);
}

#[test]
fn every_page_has_a_text_and_an_address_of_its_own() {
    let mut uris: Vec<String> = PAGES.iter().map(Page::uri).collect();
    for page in PAGES {
        assert!(page.text().starts_with('#'), "{page:?}");
    }
    uris.sort_unstable();
    uris.dedup();
    assert_eq!(uris.len(), PAGES.len());
}

/// What the overview names is there.
#[test]
fn the_overview_names_keys_that_exist() {
    let named = CONFIG_OVERVIEW.split('`').skip(1).step_by(2);
    let keys: Vec<&str> = named.filter(|text| text.contains('_') && !text.ends_with('_')).collect();
    assert!(keys.len() > 5, "{keys:?}");
    for key in keys {
        assert!(config::KEYS.iter().any(|known| known.name == key), "{key}");
    }
}
