//! The README and the pages of `docs/`: each is linked, each link leads somewhere, and the parts that are made from the
//! code are up to date.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use expect_test::expect_file;

const TOP: &str = env!("CARGO_MANIFEST_DIR");
const BOOK: &str = include_str!("../../book.toml");

/// A text of Markdown.
pub(crate) struct Page {
    /// Its path in the repository.
    pub(crate) name: String,
    pub(crate) text: String,
}

impl Page {
    fn read(name: &str) -> Self {
        let text = fs::read_to_string(Path::new(TOP).join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        Self { name: name.to_owned(), text }
    }

    /// A page of `docs/`.
    pub(crate) fn of_docs(name: &str) -> Self {
        Self::read(&format!("docs/{name}"))
    }

    /// Its lines outside of fenced blocks.
    fn prose(&self) -> impl Iterator<Item = &str> {
        let mut is_block = false;
        self.text.lines().filter(move |line| {
            let is_fence = line.trim_start().starts_with("```");
            is_block ^= is_fence;
            !is_block && !is_fence
        })
    }

    /// Its headings, without their signs.
    fn headings(&self) -> impl Iterator<Item = &str> {
        self.prose().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim())
    }

    /// The names that links give to its headings, as GitHub and mdBook make them.
    fn anchors(&self) -> BTreeSet<String> {
        let letter = |c: char| match c {
            ' ' => Some('-'),
            '-' | '_' => Some(c),
            c => c.is_alphanumeric().then(|| c.to_ascii_lowercase()),
        };
        self.headings().map(|heading| heading.chars().filter_map(letter).collect()).collect()
    }

    /// The targets of its links, without those on the web.
    fn targets(&self) -> Vec<String> {
        let prose = self.prose().collect::<Vec<_>>().join("\n");
        let targets = prose.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        targets.filter(|target| !target.starts_with("https://")).map(str::to_owned).collect()
    }
}

/// The README and all pages of `docs/`, by name.
pub(crate) fn all() -> Vec<Page> {
    let entries = fs::read_dir(Path::new(TOP).join("docs")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|it| it == "md"));
    let names = paths.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned());
    let names: BTreeSet<_> = names.filter(|name| name != "SUMMARY.md").collect();
    assert!(names.len() > 15, "{names:?}");
    [Page::read("README.md")].into_iter().chain(names.iter().map(|name| Page::of_docs(name))).collect()
}

/// Compares a part of a page with what the code makes of it. `UPDATE_EXPECT=1` writes the page.
#[track_caller]
pub(crate) fn assert_made(page: &str, part: &str, made: &str) {
    let Page { name, text } = Page::of_docs(page);
    let (before, rest) = text.split_once(&format!("<!-- {part}: ")).unwrap_or_else(|| panic!("no {part} in {name}"));
    let (comment, rest) = rest.split_once("-->\n").expect("the end of the comment");
    let (_, after) = rest.split_once(&format!("<!-- end of {part} -->\n")).expect("the end of the part");
    let made = made.trim();
    let page = format!("{before}<!-- {part}: {comment}-->\n\n{made}\n\n<!-- end of {part} -->\n{after}");
    expect_file![Path::new(TOP).join(name)].assert_eq(&page);
}

#[test]
fn the_readme_is_short() {
    let readme = Page::read("README.md").text;
    let words = readme.split_whitespace().filter(|word| word.contains(char::is_alphanumeric)).count();
    assert!(words <= 1300, "{words} words");
}

/// What a reader of the README may need is one step away.
#[test]
fn the_readme_links_every_page() {
    let linked: BTreeSet<_> = Page::read("README.md").targets().into_iter().collect();
    let missing: Vec<_> = all().into_iter().skip(1).map(|page| page.name).filter(|it| !linked.contains(it)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn the_summary_lists_every_page_by_its_heading() {
    assert!(BOOK.contains("\nsrc = \"docs\"\n"));
    let summary = Page::of_docs("SUMMARY.md");
    let links =
        summary.text.lines().filter_map(|line| line.trim_start_matches("- ").strip_prefix('[')?.split_once("]("));
    let listed: Vec<_> = links.map(|(title, target)| format!("{}: {title}", target.trim_end_matches(')'))).collect();
    let mut sorted = listed.clone();
    sorted.sort();
    let pages = all();
    let entry = |page: &Page| format!("{}: {}", &page.name["docs/".len()..], page.headings().next().unwrap());
    assert_eq!(sorted, pages.iter().skip(1).map(entry).collect::<Vec<_>>());
}

/// A page links only to pages: the site has no other files.
#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let pages = all();
    let mut wrong = Vec::new();
    for page in &pages {
        let folder = if page.name.starts_with("docs/") { "docs/" } else { "" };
        for target in page.targets() {
            let (file, anchor) = target.split_once('#').map_or((&*target, None), |(file, anchor)| (file, Some(anchor)));
            let name = if file.is_empty() { page.name.clone() } else { format!("{folder}{file}") };
            let known = pages.iter().find(|page| page.name == name);
            let is_there = match anchor {
                Some(anchor) => known.is_some_and(|page| page.anchors().contains(anchor)),
                None => known.is_some() || !file.contains("..") && Path::new(TOP).join(&name).exists(),
            };
            if !is_there {
                wrong.push(format!("{}: {target}", page.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn headings_of_a_page_differ() {
    for page in all() {
        assert_eq!(page.anchors().len(), page.headings().count(), "{}", page.name);
    }
}

#[test]
fn lines_are_short() {
    let pages = all();
    // A row of a table cannot be broken.
    let lines = pages.iter().flat_map(|page| page.text.lines().map(|line| (&page.name, line)));
    let long: Vec<_> = lines.filter(|(_, line)| !line.starts_with('|') && line.chars().count() > 120).collect();
    assert!(long.is_empty(), "{long:#?}");
}
