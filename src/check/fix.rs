//! Applies the safe fixes that diagnostics carry.

use std::ops::Range;

use super::same::is_same;
use super::{Options, check_all};
use crate::plugin::{Diagnostic, Fix, Plugin, Rule, python};

/// The text with all fixes that do not overlap, and their number. `None` if there are none, or if the result is not the
/// same plugin with fewer diagnostics: its tree must have every node of the old one.
#[must_use]
pub fn mended(plugin: &Plugin, text: &str, options: &Options) -> Option<(String, usize)> {
    let before = python::tree(text)?;
    let found = check_all(plugin, text, &before, options).diagnostics;
    let mut fixes: Vec<&Fix> = Vec::new();
    for fix in found.iter().filter_map(fix_of) {
        // Two fixes may add the same import.
        let is_free = |edit: &(Range<usize>, String)| {
            let mut all_taken = fixes.iter().flat_map(|taken| &taken.edits);
            all_taken.all(|taken| edit == taken || edit.0.end <= taken.0.start || taken.0.end <= edit.0.start)
        };
        if !fixes.contains(&fix) && fix.edits.iter().all(is_free) {
            fixes.push(fix);
        }
    }
    let mut edits: Vec<_> = fixes.iter().flat_map(|fix| &fix.edits).collect();
    edits.sort_by_key(|(range, _)| (range.start, range.end));
    edits.dedup();
    let mut new = String::with_capacity(text.len());
    let mut at = 0;
    for (range, with) in &edits {
        new.push_str(text.get(at..range.start)?);
        new.push_str(with);
        at = range.end;
    }
    new.push_str(text.get(at..)?);
    let changes: Vec<_> = edits.iter().map(|(range, with)| (range.clone(), with.len())).collect();
    let mended = python::tree(&new)?;
    if !is_same(before.syntax(), mended.syntax(), &changes) {
        return None;
    }
    // The fixes must leave fewer diagnostics than before.
    let after = check_all(plugin, &new, &mended, options).diagnostics;
    let is_better = !fixes.is_empty() && after.len() < found.len();
    is_better.then_some((new, fixes.len()))
}

fn fix_of(diagnostic: &Diagnostic) -> Option<&Fix> {
    match &diagnostic.rule {
        Rule::Checked(finding) => finding.fix.as_ref(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::rules::tests::plugin;
    use super::*;

    #[test]
    fn certain_mistakes_are_mended() {
        let users = "from open_webui.models.users import Users\nclass Pipe:\n    async def pipe(self, body):\n        ";
        let pydantic = "from pydantic import BaseModel, Field\n";
        for (rule, text, expected) in [
            ("missing-await", format!("{users}u = Users.get_user_by_id(1)\n        return u.x\n"), Some("u = await Users.get_user_by_id(1)")),
            ("missing-await", format!("{users}return Users.get_user_by_id(1).x\n"), Some("return (await Users.get_user_by_id(1)).x")),
            ("missing-await", format!("{users}if not Users.get_users(): pass\n"), Some("if not await Users.get_users(): pass")),
            ("missing-await", users.replace("async ", "") + "return Users.get_user_by_id(1).x\n", None),
            ("missing-await", format!("{users}new = VERSION >= MIN\n        return Users.get_user_by_id(1).x\n"), None),
            ("missing-await", format!("{users}return (u for u in Users.get_users())\n"), None),
            ("missing-await", format!("{users}return send(**Users.get_users())\n"), Some("send(**await Users.get_users())")),
            (
                "missing-await",
                format!("import asyncio\n{users}def h(): return Users.get_users()\n        return (await asyncio.to_thread(h)).x\n"),
                None,
            ),
            (
                "secret-shown",
                format!("{pydantic}class Pipe:\n    class Valves(BaseModel):\n        api_key: str = Field(default='')\n"),
                Some("Field(default='', json_schema_extra={\"input\": {\"type\": \"password\"}})"),
            ),
            (
                "secret-shown",
                format!("{pydantic}class Pipe:\n    class Valves(BaseModel):\n        api_key: str = Field(\n            default='',\n        )\n"),
                Some("(\n            default='',\n            json_schema_extra={\"input\": {\"type\": \"password\"}},\n        )"),
            ),
            ("secret-shown", "class Pipe:\n    class Valves(BaseModel):\n        api_key: str = ''\n".to_owned(), None),
            (
                "secret-shown",
                "from pydantic import BaseModel\nclass Pipe:\n    class Valves(BaseModel):\n        api_key: str = ''\n".to_owned(),
                Some("from pydantic import BaseModel, Field\nclass Pipe:\n    class Valves(BaseModel):\n        api_key: str = Field(default='', json_schema_extra={\"input\": {\"type\": \"password\"}})\n"),
            ),
            (
                "secret-shown",
                "from pydantic import (\n    BaseModel,\n    Field,\n)\nclass Pipe:\n    class Valves(BaseModel):\n        api_key: str\n".to_owned(),
                Some("    Field,\n)\nclass Pipe:\n    class Valves(BaseModel):\n        api_key: str = Field(json_schema_extra={\"input\": {\"type\": \"password\"}})\n"),
            ),
            (
                "secret-shown",
                format!("import os\n{pydantic}class Pipe:\n    class Valves(BaseModel):\n        token: str = os.getenv('T', '')\n"),
                Some("Field(default=os.getenv('T', ''), json_schema_extra={"),
            ),
            (
                "secret-shown",
                "from pydantic import BaseModel\nclass Pipe:\n    class Valves(BaseModel):\n        token: str = make()\n".to_owned(),
                None,
            ),
            (
                "secret-shown",
                "from pydantic import BaseModel\nfrom mine import Field\nclass Pipe:\n    class Valves(BaseModel):\n        token: str = ''\n".to_owned(),
                None,
            ),
            ("header-unknown", "\"\"\"\nid: x\nrequirement: y\n\"\"\"\nclass Pipe: pass\n".to_owned(), Some("\nrequirements: y\n")),
            (
                "parameter-undescribed",
                "class Tools:\n    def f(self, a: int, b: str = ''):\n        \"\"\"\n        Does it.\n\n        Args:\n            a (int): a number\n            b: a text\n        \"\"\"\n".to_owned(),
                Some("Does it.\n\n        :param a: a number\n        :param b: a text\n        \"\"\"\n"),
            ),
            (
                "parameter-undescribed",
                "class Tools:\n    def f(self, a: int):\n        \"\"\"\n        Args:\n            a: a number\n                of apples:\n                red ones\n        \"\"\"\n".to_owned(),
                Some("\"\"\"\n        :param a: a number of apples: red ones\n        \"\"\"\n"),
            ),
            (
                "parameter-undescribed",
                "class Tools:\n    def f(self, a: int, b):\n        \"\"\"\n        Args:\n            a (int):\n                a number\n\n            b: more\n\n        \"\"\"\n".to_owned(),
                Some("\"\"\"\n        :param a: a number\n\n        :param b: more\n\n        \"\"\"\n"),
            ),
            (
                "parameter-undescribed",
                "class Tools:\n    def f(self, a: int):\n        \"\"\"\n        Args:\n            a:\n        \"\"\"\n".to_owned(),
                None,
            ),
            (
                "parameter-undescribed",
                "class Tools:\n    def f(self, a: int):\n        \"\"\"\n        Args:\n            a: one of\n                Some:\n                  b\n        \"\"\"\n".to_owned(),
                None,
            ),
            (
                "parameter-undescribed",
                "class Tools:\n    def f(self, a: int):\n        \"\"\"\n        Args:\n            a: one\n        and more\n        \"\"\"\n".to_owned(),
                None,
            ),
        ] {
            let options = Options { select: vec![rule.to_owned()], ..Options::default() };
            let mended = mended(&plugin("a.py", &text), &text, &options);
            match (mended, expected) {
                (Some((new, 1)), Some(expected)) => assert!(new.contains(expected), "{new}"),
                (None, None) => {}
                (mended, _) => panic!("{text}\n{mended:?}"),
            }
        }
    }

    #[test]
    fn no_mend_breaks_a_class_of_valves() {
        let (model, field) = ("from pydantic import BaseModel\n", "from pydantic import Field\n");
        let fields = |base: &str| format!("class Pipe:\n    class Valves({base}):\n        token: str = ''\n");
        let own = fields("BaseModel");
        for (text, mends) in [
            (format!("{model}{field}{own}"), true),
            (format!("import pydantic\n{field}{}", fields("pydantic.BaseModel")), true),
            (format!("from pydantic.v1 import BaseModel\n{field}{own}"), false),
            (format!("from mine import BaseModel\n{field}{own}"), false),
            (format!("{field}class Mine:\n    pass\n{}", fields("Mine")), false),
            (format!("{field}{}", fields("")), false),
            (format!("{model}{field}{}", fields("Mine, BaseModel")), false),
            (format!("{model}{field}{}", own.replace("    class", "    @dataclass\n    class")), false),
            (format!("{model}{field}{}", own.replace("    class", "    BaseModel = dict\n    class")), false),
            (format!("{model}{field}{own}        url: str = 'x' + token\n"), false),
            (format!("{model}if TYPE_CHECKING:\n    {field}{own}"), false),
            (format!("{model}{own}{field}"), false),
            (format!("{model}{field}{}", own.replace("token", "Field: str = 'x'\n        token")), false),
            (format!("try:\n    {model}except ImportError:\n    pass\n{own}"), false),
            (format!("import pydantic\n{}{model}", fields("pydantic.BaseModel")), false),
            (format!("{model}from mine import Field\n{}", own.replace("''", "Field('')")), false),
        ] {
            let options = Options { select: vec!["secret-shown".to_owned()], ..Options::default() };
            let mended = mended(&plugin("a.py", &text), &text, &options);
            assert_eq!(mended.is_some(), mends, "{text}\n{mended:?}");
        }
    }

    #[test]
    fn an_args_block_is_mended_only_at_the_end() {
        let tool =
            |docstring: &str| format!("class Tools:\n\tdef f(self, a: int):\n\t\t\"\"\"Adds.\n{docstring}\"\"\"\n");
        for (docstring, expected) in [
            ("\t\tArgs:\n\t\t\ta: one\n\t\t\t\tmore", Some("Adds.\n\t\t:param a: one more\"\"\"\n")),
            ("\t\tArgs:\n\t\t\ta: one\n\n\t\t", Some("Adds.\n\t\t:param a: one\n\n\t\t\"\"\"\n")),
            ("\t\tArgs:\n\t\t\ta: one\n\t\tReturns:\n\t\t\tthe sum\n\t\t", None),
            ("\t\tArgs:\n\t\t\ta: one\n\n\t\tNever call it twice.\n\t\t", None),
            ("\t\tArgs:\n\t\t\ta: one: \\\n\t\t\t\tmore\n\t\t", None),
            ("\t\tArgs:\n\t\t\ta: one\n\t\t\"\"\" \"\"\"Never call it twice.", None),
        ] {
            let options = Options { select: vec!["parameter-undescribed".to_owned()], ..Options::default() };
            let text = tool(docstring);
            let mended = mended(&plugin("a.py", &text), &text, &options).map(|(new, _)| new);
            match (mended, expected) {
                (Some(new), Some(expected)) => assert!(new.contains(expected), "{new}"),
                (None, None) => {}
                (mended, _) => panic!("{text}\n{mended:?}"),
            }
        }
    }

    #[test]
    fn one_import_serves_two_fields() {
        let text = "from pydantic import BaseModel\nclass Pipe:\n    class Valves(BaseModel):\n        token: str = ''\n        \
                    api_key: str | None = None\n    def pipe(self, body): pass\n";
        let (new, count) = mended(&plugin("a.py", text), text, &Options::default()).unwrap();
        assert_eq!(
            (count, new.matches(", Field\n").count(), new.matches("= Field(default=").count()),
            (2, 1, 2),
            "{new}"
        );
    }

    #[test]
    fn several_mends_go_together() {
        let text = "from open_webui.models.users import Users\nclass Pipe:\n    async def pipe(self, body):\n        \
                    Users.get_users()\n        Users.get_users()\n";
        let (new, count) = mended(&plugin("a.py", text), text, &Options::default()).unwrap();
        assert_eq!((count, new.matches("await ").count()), (2, 2));
        assert_eq!(mended(&plugin("a.py", &new), &new, &Options::default()), None);
    }
}
