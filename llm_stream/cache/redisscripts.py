"""What Redis does for the cache in one step each, in Lua."""

from typing import Final

HEAD_BYTES: Final = 32_768
"""The first line of an entry, with its marks, is shorter than that."""

_NOW: Final = """
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
"""
# Lists a new entry under its names, unless it is void already, and forgets what has expired of
# them meanwhile. KEYS: the entry, then generation and both lists of each name; ARGV: its key,
# when it was stored, for how many seconds, then the mark of each name.
LIST: Final = (
    _NOW
    + """
for i = 2, #KEYS, 3 do
  if (redis.call('GET', KEYS[i]) or '0') ~= ARGV[3 + (i + 1) / 3] then
    redis.call('UNLINK', KEYS[1])
    return 0
  end
end
for i = 2, #KEYS, 3 do
  local dead = redis.call('ZRANGEBYSCORE', KEYS[i+2], '-inf', now, 'LIMIT', 0, 100)
  for _, key in ipairs(dead) do
    redis.call('ZREM', KEYS[i+1], key)
    redis.call('ZREM', KEYS[i+2], key)
  end
  redis.call('ZADD', KEYS[i+1], ARGV[2], ARGV[1])
  redis.call('ZADD', KEYS[i+2], now + ARGV[3], ARGV[1])
  local life = math.ceil(ARGV[3]) + 60
  for j = i + 1, i + 2 do
    if redis.call('TTL', KEYS[j]) < life then redis.call('EXPIRE', KEYS[j], life) end
  end
end
return 1
"""
)
# Raises a generation and puts the list of what is void aside; how many there were. Generations
# are times in milliseconds: a Redis that has lost them goes on beyond them, so that no run that
# was asked for before an invalidation looks younger than it.
BUMP: Final = (
    _NOW
    + """
local count = redis.call('ZCOUNT', KEYS[3], now, '+inf')
local before = tonumber(redis.call('GET', KEYS[1]) or '0')
local after = math.max(before + 1, math.floor(now * 1000))
redis.call('SET', KEYS[1], string.format('%.0f', after), 'EX', ARGV[1])
redis.call('DEL', KEYS[3])
if redis.call('EXISTS', KEYS[2]) == 1 then
  redis.call('RENAME', KEYS[2], KEYS[4])
  redis.call('EXPIRE', KEYS[4], 86400)
end
return count
"""
)
# Drops entries and takes them off the lists of their names; how many there were. ARGV: the
# prefix, a name, "1" to drop only what is void under that name, then keys. What has expired is
# taken off the lists of that name.
UNLIST: Final = f"""
local prefix, name, only_void = ARGV[1], ARGV[2], ARGV[3] == '1'
local generation = tonumber(redis.call('GET', prefix .. ':g:' .. name) or '0')
local dropped = 0
for i = 4, #ARGV do
  local place = prefix .. ':e:' .. ARGV[i]
  local head = redis.call('GETRANGE', place, 0, {HEAD_BYTES})
  local ok, facts = pcall(cjson.decode, string.match(head, '^[^\\n]*') or '')
  local marks = ok and type(facts) == 'table' and facts.marks or {{}}
  if head == '' then
    redis.call('ZREM', prefix .. ':a:' .. name, ARGV[i])
    redis.call('ZREM', prefix .. ':x:' .. name, ARGV[i])
  elseif not (only_void and marks[name] == generation) then
    for other, _ in pairs(marks) do
      redis.call('ZREM', prefix .. ':a:' .. other, ARGV[i])
      redis.call('ZREM', prefix .. ':x:' .. other, ARGV[i])
    end
    dropped = dropped + redis.call('UNLINK', place)
  end
end
return dropped
"""
COUNT: Final = _NOW + "return redis.call('ZCOUNT', KEYS[1], now, '+inf')"
