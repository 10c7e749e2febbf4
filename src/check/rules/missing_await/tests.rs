//! Which coroutines are reported as never awaited, and which are not.

use super::super::tests::{found, table};

fn of(body: &str) -> String {
    format!(
        "from open_webui.models.users import Users\nimport asyncio, inspect\nclass Pipe:\n    async def pipe(self, body):\n        {}\n",
        body.replace('\n', "\n        ")
    )
}

#[test]
fn every_use_of_a_coroutine_is_judged() {
    for (body, expected) in [
        ("Users.get_user_by_id(1)", "error 5"),
        ("u = Users.get_user_by_id(1)\nreturn u.email", "error 5"),
        ("u = Users.get_user_by_id(1)", "error 5"),
        ("return Users.get_user_by_id(1).email", "error 5"),
        ("return Users.get_user_by_id(1)['a']", "error 5"),
        ("if Users.get_user_by_id(1): pass", "error 5"),
        ("if not Users.get_user_by_id(1): pass", "error 5"),
        ("if (u := Users.get_user_by_id(1)): return u.x", "error 5"),
        ("for u in Users.get_users(): pass", "error 5"),
        ("return [u for u in Users.get_users()]", "error 5"),
        ("return len(Users.get_users())", "error 5"),
        ("return f'{Users.get_users()}'", "error 5"),
        ("u = Users.get_users()\nreturn dict(**(u if u else {}))", "error 5"),
        ("return send(**(Users.get_users() or {}))", "error 5"),
        ("return send(*Users.get_users())", "error 5"),
        ("return {'a': 1, **Users.get_users()}", "error 5"),
        ("return {'a': Users.get_users()}", ""),
        ("return send(a=Users.get_users())", ""),
        // A coroutine never has what these look for.
        ("u = Users.get_user_by_id(1)\nreturn getattr(u, 'email', None)", "error 5"),
        ("u = Users.get_user_by_id(1)\nif u: return getattr(u, 'email')", "error 5"),
        ("u = Users.get_user_by_id(1)\nif hasattr(u, 'email'): return u.email", "error 5"),
        ("u = Users.get_user_by_id(1)\nif isinstance(u, dict): return u['email']\nreturn u.email", "error 5"),
        ("u = Users.get_user_by_id(1)\nif hasattr(u, '__await__'): return run(u)\nreturn u.email", ""),
        ("u = Users.get_user_by_id(1)\nif hasattr(u, 'send'): return 1\nreturn u.email", ""),
        ("u = Users.get_user_by_id(1)\nif isinstance(u, Awaitable): return 1\nreturn u.email", ""),
        ("u = Users.get_user_by_id(1)\nif not hasattr(u, 'email'): return (await u).email\nreturn u.email", ""),
        ("u = Users.get_user_by_id(1)\nreturn getattr(u, body, None)", ""),
        // A log does not await it.
        ("u = Users.get_user_by_id(1)\nprint(u)\nreturn u.email", "error 5"),
        ("u = Users.get_user_by_id(1)\nlog.info('%s', u)\nif not u: return\nreturn u.email", "error 5"),
        ("log.info(Users.get_user_by_id(1))", ""),
        // Any other function may await it.
        ("u = Users.get_user_by_id(1)\nlog(u)\nreturn u.email", ""),
        ("u = Users.get_user_by_id(1)\nawait asyncio.wait_for(u, 5)\nreturn f'{u}'", ""),
        ("u = Users.get_user_by_id(1)\ntasks.create_task(u, name=u.__name__)\nreturn f'{u}'", ""),
        ("u = Users.get_user_by_id(1)\nreturn u.__class__", ""),
        ("u = Users.get_user_by_id(1)\nlater.append(u)", ""),
        ("u = Users.get_user_by_id(1)\nlater.append(u)\nif u: print('one')", ""),
        ("u = Users.get_user_by_id(1)\nif is_old(u): return u.email\nreturn run(u).email", ""),
        ("u = None\nif body: u = Users.get_user_by_id(1)\nlog(u)\nif u: return u.email", ""),
        ("u = Users.get_user_by_id(1) or None\nreturn u.x", "error 5"),
        ("u = Users.get_user_by_id(1) if body else None\nreturn u.x", "error 5"),
        ("def inner():\n    return Users.get_user_by_id(1).x", "error 6"),
        ("u = await asyncio.to_thread(Users.get_user_by_id, 1)\nreturn u.x", "error 5"),
        ("u = await loop.run_in_executor(None, Users.get_user_by_id, 1)\nreturn u.x", "error 5"),
        // Awaited, returned or passed on.
        ("u = await Users.get_user_by_id(1)\nreturn u.email", ""),
        ("return (await Users.get_user_by_id(1)).email", ""),
        ("u = Users.get_user_by_id(1)\nu = await u", ""),
        ("u = Users.get_user_by_id(1)\nreturn await asyncio.gather(u)", ""),
        ("return await asyncio.gather(Users.get_user_by_id(1))", ""),
        ("return await asyncio.gather(*[Users.get_user_by_id(i) for i in body])", ""),
        ("return Users.get_user_by_id(1)", ""),
        ("return run(Users.get_user_by_id(1))", ""),
        ("return asyncio.run(Users.get_user_by_id(1))", ""),
        ("f = lambda: Users.get_user_by_id(1)", ""),
        ("u = Users.get_user_by_id(1)\nif inspect.isawaitable(u): u = await u\nreturn u.x", ""),
        ("u = Users.get_user_by_id(1)\nreturn u", ""),
        ("self.u = Users.get_user_by_id(1)", ""),
        ("u = await Users.get_user_by_id(1) if NEW else None\nif not u: u = Users.get_user_by_id(1)\nreturn u", ""),
        ("if NEW:\n    u = await Users.get_user_by_id(1)\nelse:\n    u = Users.get_user_by_id(1)\nreturn u.x", ""),
        (
            "try:\n    return (await Users.get_user_by_id(1)).x\nexcept TypeError:\n    return Users.get_user_by_id(1).x",
            "",
        ),
        ("u = None\nif body: u = Users.get_user_by_id(1)\nif u: print('one')", "error 6"),
        ("u = None\nif body: u = Users.get_user_by_id(1)\nif u: return u.x", "error 6"),
        ("u = await (await asyncio.to_thread(Users.get_user_by_id, 1))\nreturn u.x", ""),
        ("if VERSION < (0, 9):\n    u = Users.get_user_by_id(1)\n    return u.x", ""),
    ] {
        table("missing-await", "0.12.4", &[(&of(body), expected)]);
        table("missing-await", "0.8.12", &[(&of(body), "")]);
    }
}

#[test]
fn functions_of_the_file_that_log_it_change_nothing() {
    for (helper, expected) in [
        ("def log(self, u): print(u)", "error 5"),
        ("def log(self, u):\n    if inspect.isawaitable(u): raise ValueError", ""),
    ] {
        let body = "u = Users.get_user_by_id(1)\nself.log(u)\nreturn u.email";
        let line = 4 + helper.lines().count();
        let expected = expected.replace('5', &line.to_string());
        table("missing-await", "0.12.4", &[(&with(helper, body), &expected)]);
    }
}

#[test]
fn names_that_other_functions_see_are_left_alone() {
    for body in [
        "global PENDING\nPENDING = Users.get_users()",
        "global PENDING\nPENDING = Users.get_users()\nprint(PENDING.x)",
        "global PENDING\nif (PENDING := Users.get_users()): pass",
        "c = None\ndef start():\n    nonlocal c\n    c = Users.get_users()\nstart()\nreturn await c",
        "c = Users.get_users()\nasync def later():\n    return await c\nreturn await later()",
        "c = Users.get_users()\nasync def later():\n    print(c.x)\nreturn await later()",
    ] {
        let text = format!("{}\n    async def later(self):\n        await PENDING\n", of(body));
        table("missing-await", "0.12.4", &[(&text, "")]);
    }
    // The global of another function is not this name.
    let other = "def start():\n    global c\n    c = 1\nc = Users.get_users()";
    table("missing-await", "0.12.4", &[(&of(other), "error 8")]);
}

#[test]
fn plugins_for_several_versions_are_left_alone() {
    let old = "return Users.get_user_by_id(1).email";
    for (gate, expected) in [
        ("if VERSION >= '0.9': return (await Users.get_user_by_id(1)).email", ""),
        ("is_new = VERSION >= '0.9'\nif is_new: return 1", ""),
        ("is_new = Version(server) >= Version('0.9')\nif is_new: return 1", ""),
        ("is_new = env.version_info[1] > 8", ""),
        ("is_new = parse(VERSION) >= parse('0.9')", ""),
        ("is_new = info['version'] != '0.8.12'", ""),
        ("is_old = OPEN_WEBUI_VERSION.startswith('0.8')", ""),
        ("if NEW: return (await Users.get_user_by_id(1)).email", ""),
        ("if NEW: return (await asyncio.wait_for(Users.get_user_by_id(1), 5)).email", ""),
        ("async def new(): return (await Users.get_user_by_id(1)).email\nif NEW: return await new()", ""),
        ("is_new = VERSION >= (0, 9)", ""),
        ("is_new = at_least('0.8.5') and VERSION", "error 6"),
        ("def at_least(version): return parse(VERSION) >= version\nif at_least('v0.9.0'): pass", ""),
        ("minor = int(VERSION.split('.')[1])\nis_new = minor < 9 and VERSION != ''", ""),
        ("is_new = VERSION > '0.8.0'", ""),
        ("is_new = VERSION >= '0.10.2'", ""),
        ("is_new = VERSION >= (0, 12, 4)", ""),
        // These may tell servers apart, but name no version that does.
        ("is_new = VERSION.split('.')[1] not in ('6', '7', '8')", "warning 6"),
        ("is_new = int(VERSION.split('.')[1]) not in range(6, 9)", "warning 6"),
        ("ASYNC = 9\nis_new = int(VERSION.split('.')[1]) >= ASYNC", "warning 7"),
        ("is_new = VERSION.split('.') >= ['0', '9']", "warning 6"),
        ("is_new = int(VERSION.replace('.', '')) >= 90", "warning 6"),
        ("_, minor = env.VERSION.split('.')[:2]\nis_new = int(minor) not in range(9)", "warning 7"),
        ("parts = VERSION.split('.')\nis_new = int(parts[1]) not in range(9)", "warning 7"),
        ("parts = VERSION.split('.')\nis_new = int(parts[1]) > 8", ""),
        ("words = {'a': 'a version'}\nis_new = body in words", "error 7"),
        ("parts = body.split('.')\nis_new = int(parts[1]) > 8", "error 7"),
        ("is_new = VERSION >= '0.8.0'", "warning 6"),
        ("is_new = VERSION >= '0.7' and VERSION < '0.95'", "warning 6"),
        ("is_new = api_version == '2023-06-01'  # and not '0.9'", "warning 6"),
        ("is_new = model_version < 3.0", "warning 6"),
        ("is_new = model_version >= 3\nTEMPERATURE = 0.9", "warning 7"),
        ("is_new = VERSION >= 0.9", ""),
        ("is_new = VERSION != '10.9.1'", "warning 6"),
        // These gates compare no version, and await another function or none.
        ("is_new = SIZE >= 9", "error 6"),
        ("print(VERSION)", "error 6"),
        ("if NEW: return (await Users.get_user_by_email(1)).email", "error 6"),
        ("if NEW: return await send(Users.get_user_by_id(1))", "error 6"),
    ] {
        table("missing-await", "0.12.4", &[(&of(&format!("{gate}\n{old}")), expected)]);
    }
    let either = "if NEW: return (await self.h()).x\nreturn self.h().x";
    table("missing-await", "0.12.4", &[(&with("def h(self): return Users.get_user_by_id(1)", either), "")]);
    let elsewhere = "async def h(self): return (await Users.get_user_by_id(1)).x";
    table("missing-await", "0.12.4", &[(&with(elsewhere, old), "error 5")]);
}

/// A helper `h` beside the hook, and the hook's body.
fn with(helper: &str, body: &str) -> String {
    let indented = |text: &str, by: &str| text.replace('\n', &format!("\n{by}"));
    format!(
        "from open_webui.models.users import Users\nclass Pipe:\n    {}\n    async def pipe(self, body):\n        {}\n",
        indented(helper, "    "),
        indented(body, "        ")
    )
}

#[test]
fn helpers_that_return_it_are_followed() {
    let plain = "def h(self):\n    return Users.get_user_by_id(1)";
    let guarded = "def h(self, x=None):\n    if not x: return None\n    return Users.get_user_by_id(1)";
    let asynchronous = "async def h(self):\n    return Users.get_user_by_id(1)";
    let mixed = "def h(self):\n    if self.x: return 1\n    return Users.get_user_by_id(1)";
    let cached = "@cached\ndef h(self):\n    return Users.get_user_by_id(1)";
    for (helper, body, expected) in [
        (plain, "u = self.h()\nreturn u.x", "error 6"),
        (plain, "return self.h().x", "error 6"),
        (plain, "self.h()", "error 6"),
        (plain, "u = await self.h()\nreturn u.x", ""),
        (plain, "return self.h()", ""),
        (plain, "return run(self.h())", ""),
        (plain, "return other.h().x", ""),
        (guarded, "return self.h().x", "error 7"),
        (asynchronous, "u = await self.h()\nreturn u.x", "error 6"),
        (asynchronous, "u = await (await self.h())\nreturn u.x", ""),
        (asynchronous, "return await self.h()", ""),
        (mixed, "return self.h().x", ""),
        (cached, "return self.h().x", ""),
    ] {
        table("missing-await", "0.12.4", &[(&with(helper, body), expected)]);
        table("missing-await", "0.8.12", &[(&with(helper, body), "")]);
    }
    for (helper, body, expected) in [
        (plain, "u = await asyncio.to_thread(self.h)\nreturn u.x", "error 7"),
        (plain, "return (await loop.run_in_executor(None, self.h)).x", "error 7"),
        (plain, "u = await (await asyncio.to_thread(self.h))\nreturn u.x", ""),
        (plain, "u = asyncio.to_thread(self.h)\nreturn await (await u)", ""),
        (asynchronous, "u = await asyncio.to_thread(self.h)\nreturn u.x", ""),
        (mixed, "return (await asyncio.to_thread(self.h)).x", ""),
    ] {
        let text = format!("import asyncio\n{}", with(helper, body));
        table("missing-await", "0.12.4", &[(&text, expected)]);
    }
    let inner = "def load(): return Users.get_user_by_id(1)\nu = await asyncio.to_thread(load)\nif u: return u.x";
    table("missing-await", "0.12.4", &[(&of(inner), "error 6")]);
    let twice = "def g(self):\n    return Users.get_user_by_id(1)\ndef h(self):\n    return self.g()";
    table("missing-await", "0.12.4", &[(&with(twice, "return self.h().x"), "error 8")]);
}

#[test]
fn functions_that_are_given_it_are_followed() {
    let of = |helper: &str, expected: &str| {
        table("missing-await", "0.12.4", &[(&with(helper, "self.h(Users.get_user_by_id(1))"), expected)]);
        table("missing-await", "0.12.4", &[(&with(helper, "self.h(u=Users.get_user_by_id(1))"), expected)]);
    };
    of("def h(self, u): return u.x", "error 5");
    of("def h(self, u):\n    if u: return u.x", "error 6");
    of("def h(self, u):\n    v = u\n    return v['a']", "error 7");
    of("def h(self, u):\n    if u: print('one')", "");
    of("def h(self, u): return send(u)", "");
    of("async def h(self, u): return (await u).x", "");
    of("def h(self, u):\n    u = Users.x(u)\n    return u.x", "");
    of("def h(self, u):\n    if inspect.isawaitable(u): return 1\n    return u.x", "");
    of("def h(self, *u): return u[0].x", "");
}

#[test]
fn functions_of_the_server_take_no_coroutine() {
    let head = "from open_webui.utils.chat import generate_chat_completion\nfrom open_webui.tasks import create_task\n";
    for (body, expected) in [
        ("u = Users.get_user_by_id(1)\nreturn await generate_chat_completion(body, body, u)", "error 7"),
        ("return await generate_chat_completion(body, body, user=Users.get_user_by_id(1))", "error 7"),
        ("u = await Users.get_user_by_id(1)\nreturn await generate_chat_completion(body, body, u)", ""),
        ("return await create_task(None, Users.get_user_by_id(1))", ""),
    ] {
        table("missing-await", "0.12.4", &[(&format!("{head}{}", with("pass", body)), expected)]);
    }
}

#[test]
fn attributes_that_keep_it_are_followed() {
    for (helper, body, expected) in [
        ("u = None", "self.u = Users.get_user_by_id(1)\nreturn self.u.x", "error 5"),
        (
            "def __init__(self): self.u = None",
            "self.u = Users.get_user_by_id(1)\nif self.u: return self.u.x",
            "error 5",
        ),
        ("def g(self): return self.u['a']", "self.u = Users.get_user_by_id(1)", "error 5"),
        ("u = None", "self.u = Users.get_user_by_id(1)\nif self.u: return 1", ""),
        ("u = None", "self.u = Users.get_user_by_id(1)\nself.u = await self.u\nreturn self.u.x", ""),
        ("u = User()", "self.u = Users.get_user_by_id(1)\nreturn self.u.x", ""),
        ("def g(self, u): self.u = u", "self.u = Users.get_user_by_id(1)\nreturn self.u.x", ""),
        ("def g(self, o): o.u = 1", "self.u = Users.get_user_by_id(1)\nreturn self.u.x", ""),
        ("def g(self): setattr(self, 'u', 1)", "self.u = Users.get_user_by_id(1)\nreturn self.u.x", ""),
    ] {
        table("missing-await", "0.12.4", &[(&with(helper, body), expected)]);
    }
}

#[test]
fn imports_are_followed() {
    let body = "class Pipe:\n    async def pipe(self, body):\n        U.get_user_by_id(1)\n";
    for (import, expected) in [
        ("from open_webui.models.users import Users as U\n", "error 4"),
        ("import open_webui.models.users as m\nU = m.Users\n", ""),
        ("from models.users import Users as U\n", ""),
        ("try:\n    from open_webui.models.users import Users as U\nexcept ImportError:\n    U = None\n", "error 7"),
        ("try:\n    from open_webui.models.users import Users as U\nexcept ImportError:\n    class U: pass\n", ""),
        (
            "try:\n    from open_webui.models.users import Users as U\nexcept ImportError:\n    from open_webui.apps.webui.models.users import Users as U\n",
            "error 7",
        ),
    ] {
        table("missing-await", "0.12.4", &[(&format!("{import}{body}"), expected)]);
    }
}

#[test]
fn a_message_names_the_version_and_what_happens() {
    assert_eq!(
        found("missing-await", &of("u = Users.get_user_by_id(1)\nreturn u.email"), "0.12.4"),
        [
            "error 5:13+20 `Users.get_user_by_id` has been a coroutine since 0.9, but is not awaited: `.email` fails on a coroutine"
        ]
    );
    let helper = "def h(self): return Users.get_user_by_id(1)";
    assert_eq!(
        found("missing-await", &with(helper, "return self.h().x"), "0.12.4"),
        [
            "error 5:16+6 `self.h` returns `Users.get_user_by_id`, which has been a coroutine since 0.9, but is not awaited: `.x` fails on a coroutine"
        ]
    );
    let helper = "def h(self, u): return u.x";
    assert_eq!(
        found("missing-await", &with(helper, "return self.h(Users.get_user_by_id(1))"), "0.12.4"),
        [
            "error 5:23+20 `Users.get_user_by_id` has been a coroutine since 0.9, but is not awaited: `.x` fails on a coroutine in `h`"
        ]
    );
}
