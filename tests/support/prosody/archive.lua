-- Prints the origin ids (XEP-0359) of all messages in a file of Prosody's internal storage, one a line, in its order.
-- The file is a Lua program that calls item() with each archived stanza; it may call nothing else.

local function item(stanza)
	for _, child in ipairs(stanza) do
		if type(child) == "table" and child.name == "origin-id" and child.attr.xmlns == "urn:xmpp:sid:0" then
			print(child.attr.id);
		end
	end
end

local stored = assert(loadfile(arg[1], "t", { item = item }));
stored();
