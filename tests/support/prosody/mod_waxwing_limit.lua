-- Announces the largest stanza that the server takes (XEP-0478), if a file beside the server's data says how large it is.

local path = prosody.paths.data .. "/../largest_stanza";

module:hook("stream-features", function (event)
	local file = io.open(path);
	if not file then return; end
	local bytes = file:read("*l");
	file:close();
	event.features:tag("limits", { xmlns = "urn:xmpp:stream-limits:0" }):text_tag("max-bytes", bytes):up();
end);
