//! As much of XML as AWS's answers have: elements, text and the five entities. Attributes and what is between are skipped.

/// An element.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Its own text, without what surrounds it.
    pub text: String,
    /// The elements in it.
    pub children: Vec<Node>,
}

impl Node {
    /// The outermost element; `None` for what is no XML or not closed.
    pub fn read(text: &str) -> Option<Node> {
        let mut open: Vec<Node> = vec![Node::default()];
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('<') {
            let (tag, then) = after.split_once('>')?;
            open.last_mut()?.text.push_str(before.trim());
            rest = then;
            if tag.starts_with(['?', '!']) {
                continue;
            }
            if let Some(name) = tag.strip_prefix('/') {
                let node = open.pop().filter(|n| n.name == name.trim() && !open.is_empty())?;
                open.last_mut()?.children.push(Node { text: plain(&node.text), ..node });
                continue;
            }
            let name = tag.trim_end_matches('/').split_whitespace().next()?.to_owned();
            let node = Node { name, ..Node::default() };
            match tag.ends_with('/') {
                true => open.last_mut()?.children.push(node),
                false => open.push(node),
            }
        }
        let top = open.pop().filter(|_| open.is_empty())?;
        top.children.into_iter().next()
    }

    /// The first element in it of that name.
    pub fn child(&self, name: &str) -> Option<&Node> {
        self.children.iter().find(|c| c.name == name)
    }

    /// Down that way.
    pub fn at(&self, path: &[&str]) -> Option<&Node> {
        path.iter().try_fold(self, |node, name| node.child(name))
    }

    /// The text down that way.
    pub fn text_at(&self, path: &[&str]) -> Option<&str> {
        self.at(path).map(|n| n.text.as_str())
    }

    /// What a list down that way has.
    pub fn items(&self, path: &[&str]) -> &[Node] {
        self.at(path).and_then(|n| n.child("Items")).map(|n| n.children.as_slice()).unwrap_or_default()
    }
}

fn plain(text: &str) -> String {
    let named = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")];
    named.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_found_by_where_they_stand() {
        let text = r#"<?xml version="1.0"?>
            <D xmlns="http://x"><Status>a &amp;amp; b</Status><None/><In><Enabled>false</Enabled></In>
            <Enabled>true</Enabled><L><Items><I>1</I><I>2</I></Items></L></D>"#;
        let read = Node::read(text).expect("it is whole");
        assert_eq!(read.text_at(&["Enabled"]), Some("true"));
        assert_eq!(read.text_at(&["In", "Enabled"]), Some("false"));
        assert_eq!(read.text_at(&["Status"]), Some("a &amp; b"));
        assert_eq!(read.items(&["L"]).iter().map(|n| n.text.as_str()).collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(read.items(&["None"]), []);
    }

    #[test]
    fn what_is_not_whole_is_nothing() {
        for text in ["", "no", "<a>", "<a></b>", "</a>", "<a", "{\"a\": 1}"] {
            assert_eq!(Node::read(text), None, "{text}");
        }
    }
}
