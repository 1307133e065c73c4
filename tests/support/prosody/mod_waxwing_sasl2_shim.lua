-- Lets Debian 12's prosody-modules run on its Prosody 0.12.3.
--
-- The packaged modules for SASL2, Bind2, FAST and inline stream management (XEP-0388, 0386, 0484, 0198) were written
-- for a newer Prosody. This adds at run time what they miss in this one, and channel binding by tls-exporter
-- (RFC 9266) with its announcement (XEP-0440), which the server's TLS library can do. For tests only.

local datetime = require "util.datetime";
local filters = require "util.filters";
local sasl = require "util.sasl";
local st = require "util.stanza";

local xmlns_conditions = "urn:ietf:params:xml:ns:xmpp-stanzas";
local xmlns_sm = "urn:xmpp:sm:3";

local mod_smacks = module:depends("smacks");
local c2s_sessions = module:shared("/*/c2s/sessions");

-- FAST tells expiry times with fractions of a second, which Lua 5.4 does not format.
if not datetime.waxwing_whole_seconds then
	local format = datetime.datetime;
	datetime.datetime = function (t) return format(t and math.floor(t)); end
	datetime.waxwing_whole_seconds = true;
end

-- Two methods that elements do not have here.
function st.stanza_mt:get_child_attr(name, xmlns, attr)
	local child = self:get_child(name, xmlns);
	return child and child.attr[attr];
end

function st.stanza_mt:add_error(err)
	return self:tag(err.condition or "undefined-condition", { xmlns = xmlns_conditions }):up();
end

-- == the stream's header ==

-- FAST is offered by who the stream says it is from, and features are not told that here.
local function remember_sender(session)
	if session.type == "c2s_unauthed" then
		function session.stream_attrs(self, _, sender) self.waxwing_sender = sender; end
	end
end
filters.add_filter_hook(remember_sender);
function module.unload() filters.remove_filter_hook(remember_sender); end

module:hook("stream-features", function (event)
	event.stream = event.stream or { from = event.origin.waxwing_sender };
	local methods = getmetatable(event.origin.conn).__index;
	if not methods.ssl_info then
		function methods:ssl_info()
			local socket = self:socket();
			return socket.info and socket:info();
		end
	end
end, 1000);

-- == channel binding ==

-- Prosody gives functions a metatable that reads what they close over.
local bindings_of = sasl.registerMechanism.mechanism_channelbindings;
for _, mechanism in ipairs { "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256-PLUS" } do
	bindings_of[mechanism]["tls-exporter"] = true;
end

local function exporter_of(session)
	local conn = session.conn;
	local socket = conn and conn:socket();
	local info = socket and socket.info and socket:info();
	if not (info and info.protocol == "TLSv1.3" and socket.exportkeyingmaterial) then return; end
	return function () return socket:exportkeyingmaterial("EXPORTER-Channel-Binding", 32, ""); end
end

-- Both logins make a login of their own at each stream; this is where both get it from.
local provider = prosody.hosts[module.host].users;
local new_login = provider.get_sasl_handler;
function provider.get_sasl_handler(session)
	local login = new_login(session);
	local exporter = exporter_of(session);
	if exporter then login:add_cb_handler("tls-exporter", exporter); end
	return login;
end

module:hook("stream-features", function (event)
	local session = event.origin;
	if session.type ~= "c2s_unauthed" or not session.secure or not exporter_of(session) then return; end
	event.features:tag("sasl-channel-binding", { xmlns = "urn:xmpp:sasl-cb:0" })
		:tag("channel-binding", { type = "tls-exporter" }):up():up();
end, -1);

-- == SASL2 ==

-- After a refusal the client may try again on the same stream.
module:hook("sasl2/c2s/failure", function (event) event.session.sasl_handler = nil; end, 1);

-- Only the classic login tells the stream that it may now carry larger stanzas.
module:hook("sasl2/c2s/success", function (event)
	module:fire_event("authentication-success", { session = event.session });
end, -1050);

-- == inline stream management ==

-- Calls what answers on the wire, and gives the answer and what was written behind it instead. Restores the way out.
local function hold(session, call, request)
	local rawsend, held = session.rawsend, {};
	session.rawsend = function (t) table.insert(held, t); return true; end
	call(session, request, xmlns_sm);
	session.rawsend = rawsend;
	return table.remove(held, 1), held;
end

local function nothing() end

function mod_smacks.do_enable(session, request)
	local answer = hold(session, mod_smacks.handle_enable, request);
	if not answer or answer.name ~= "enabled" then
		return nil, { type = "wait", condition = "unexpected-request" };
	end
	return { type = "enabled"; id = answer.attr.id; resume_max = answer.attr.max; finish = nothing };
end

function mod_smacks.do_resume(session, request)
	local rawsend, conn = session.rawsend, session.conn;
	local answer, held = hold(session, mod_smacks.handle_resume, request);
	if not answer or answer.name ~= "resumed" then
		return nil, { type = "cancel", condition = "item-not-found", context = { h = answer and answer.attr.h } };
	end
	local resumed = c2s_sessions[conn];
	resumed.rawsend, rawsend.session, rawsend.conn = rawsend, resumed, conn;
	-- What still happens at this login looks for this here.
	resumed.sasl_handler = session.sasl_handler;
	resumed.client_id = session.client_id;
	resumed.fast_token_request = session.fast_token_request;
	resumed.waxwing_held = held;
	return { type = "resumed"; id = request.attr.previd; session = resumed; finish = nothing };
end

-- What the session had missed follows success and features.
module:hook("sasl2/c2s/success", function (event)
	local session = event.session;
	for _, text in ipairs(session.waxwing_held or {}) do session.rawsend(text); end
	session.waxwing_held = nil;
end, -1600);
