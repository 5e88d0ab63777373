-- Makes one document of the pages that doc/book/contents.md lists: the book, or with the metadata `pages` (names of
-- files, apart from their endings) a man page of those. Runs in pandoc, from the root of the repository.

local stringify = pandoc.utils.stringify
pandoc.text = pandoc.text or require('text')
local man = FORMAT == 'man'

-- Anchors of the packaged module's documentation whose names follow from no heading of ours.
local ALSO = {
  ['parameters--ds_hash_expire-ds_hash_initexpire-ds_hash_check_interval'] = { 'dispatcher.p.ds_hash_initexpires' },
  ['list-file--attributes'] = { 'dispatcher.ex.attributes' },
  ['list-file'] = { 'dispatcher.ex.fileforma' },
  ['README--install'] = { 'dispatcher.ex.install' },
  ['start--a-first-config'] = { 'dispatcher.ex.config' },
  ['events'] = { 'dispatcher.ex.event_routes' },
}

-- The letter that names of a page's first table have in anchors.
local LETTERS = { parameters = 'p', functions = 'f', rpc = 'r' }

-- Returns the path that a link of a page in `folder` names.
local function resolve(folder, target)
  local parts = {}
  for part in (folder .. '/' .. target):gmatch('[^/]+') do
    if part == '..' then
      table.remove(parts)
    elseif part ~= '.' then
      table.insert(parts, part)
    end
  end
  return table.concat(parts, '/')
end

local function folder_of(path)
  return path:match('^(.*)/[^/]*$') or '.'
end

local function stem_of(path)
  return path:match('([^/]+)%.md$')
end

local function read(path)
  local file = assert(io.open(path))
  local text = file:read('a')
  file:close()
  return pandoc.read(text, 'gfm').blocks
end

local function identifier(stem, id)
  return id == '' and stem or stem .. '--' .. id
end

-- Returns the rows of a table: its head, then lists of cells, each a list of blocks.
local function rows_of(tbl)
  local simple = pandoc.utils.to_simple_table(tbl)
  return simple.headers, simple.rows
end

-- Returns the names in the first table of a page that has letters: heading -> rows.
local function names_of(stem, blocks)
  local found = {}
  local letter = LETTERS[stem]
  if not letter then
    return found
  end
  for _, block in ipairs(blocks) do
    if block.t == 'Table' then
      local heads, rows = rows_of(block)
      for _, row in ipairs(rows) do
        pandoc.walk_block(pandoc.Div(row[1]), {
          Link = function(link)
            local heading = link.target:match('^#(.*)')
            local name = stringify(link):match('^dispatcher%.([%w_]+)') or stringify(link):match('^[%w_]+')
            found[heading] = found[heading] or {}
            table.insert(found[heading], { name = name, anchor = 'dispatcher.' .. letter .. '.' .. name,
              heads = heads, cells = row })
          end,
        })
      end
      return found
    end
  end
  return found
end

-- The line below the heading of a parameter: what the table says of it.
local function facts(entry)
  local line = { pandoc.Strong(pandoc.Str(entry.name)), pandoc.Str(':') }
  local separator = ' '
  for column = 2, #entry.cells do
    local cell = entry.cells[column]
    if stringify(cell) ~= '' then
      local words = pandoc.utils.blocks_to_inlines(cell)
      local head = stringify(entry.heads[column])
      table.insert(line, pandoc.Str(separator .. (head == 'type' and '' or head .. ': ')))
      for _, word in ipairs(words) do
        table.insert(line, word)
      end
      separator = '; '
    end
  end
  return line
end

-- A table as a list of terms, which fits into every terminal.
local function as_list(tbl)
  local heads, rows = rows_of(tbl)
  local items = {}
  for _, row in ipairs(rows) do
    local term = pandoc.utils.blocks_to_inlines(row[1])
    local line = {}
    for column = 2, #row do
      if stringify(row[column]) ~= '' then
        if #line > 0 then
          table.insert(line, pandoc.Str('; '))
        end
        if #row > 2 then
          table.insert(line, pandoc.Emph(pandoc.Str(stringify(heads[column]))))
          table.insert(line, pandoc.Str(': '))
        end
        for _, word in ipairs(pandoc.utils.blocks_to_inlines(row[column])) do
          table.insert(line, word)
        end
      end
    end
    table.insert(items, { term, { { pandoc.Plain(line) } } })
  end
  return pandoc.DefinitionList(items)
end

-- Returns the blocks of a page as a part of the whole.
local function adopted(path, pages, single)
  local stem, folder, blocks = stem_of(path), folder_of(path), pages[path].blocks
  local names = names_of(stem, blocks)
  local first = true
  local result = {}
  for _, block in ipairs(blocks) do
    if block.t == 'Header' then
      local id = first and '' or block.identifier
      local whole = identifier(stem, id)
      local anchors, seen = {}, {}
      for _, entry in ipairs(names[block.identifier] or {}) do
        table.insert(anchors, entry.anchor)
      end
      for _, anchor in ipairs(ALSO[whole] or {}) do
        table.insert(anchors, anchor)
      end
      for _, anchor in ipairs(anchors) do
        if not man and not seen[anchor] then
          seen[anchor] = true
          table.insert(result, pandoc.Div({}, { id = anchor }))
        end
      end
      local level = single and math.max(block.level - 1, 1) or block.level
      if first and single then
        block.content = { pandoc.Str('DESCRIPTION') }
      end
      local content = block.content
      if man and level == 1 then
        content = { pandoc.Str(pandoc.text.upper(stringify(content))) }
      end
      table.insert(result, pandoc.Header(level, content, { id = whole }))
      if stem == 'parameters' then
        local lines = {}
        for _, entry in ipairs(names[block.identifier] or {}) do
          table.insert(lines, facts(entry))
        end
        if #lines > 0 then
          table.insert(result, pandoc.LineBlock(lines))
        end
      end
      first = false
    else
      table.insert(result, block)
    end
  end
  local walked = pandoc.walk_block(pandoc.Div(result), {
    Link = function(link)
      if link.target:find('://') then
        return link
      end
      local file, id = link.target:match('^([^#]*)#?(.*)$')
      local to = file == '' and path or resolve(folder, file)
      -- A file's name says nothing in one document.
      if pages[to] and stringify(link):match('[^/]*$') == file:match('[^/]*$') then
        link.content = { pandoc.Str(pages[to].title) }
      end
      if pages[to] and not man then
        link.target = '#' .. identifier(stem_of(to), id)
        return link
      end
      return link.content
    end,
    Image = function(image)
      if man then
        return {}
      end
      image.src = resolve(folder, image.src)
      return image
    end,
    Table = function(tbl)
      if man then
        return as_list(tbl)
      end
      -- The browser knows better how wide columns are.
      for _, spec in ipairs(tbl.colspecs) do
        spec[2] = nil
      end
      return tbl
    end,
  })
  return walked.content
end

function Pandoc(doc)
  local order, pages = {}, {}
  doc:walk({
    Link = function(link)
      local path = resolve('doc/book', link.target)
      local blocks = read(path)
      pages[path] = { blocks = blocks, title = stringify(blocks[1].content) }
      table.insert(order, path)
    end,
  })
  local wanted = doc.meta.pages and ' ' .. stringify(doc.meta.pages) .. ' '
  local chosen = {}
  for _, path in ipairs(order) do
    if not wanted or wanted:find(' ' .. stem_of(path) .. ' ', 1, true) then
      table.insert(chosen, path)
    end
  end
  local blocks = {}
  if man then
    table.insert(blocks, pandoc.Header(1, 'NAME'))
    table.insert(blocks, pandoc.Para(stringify(doc.meta.name) .. ' - ' .. stringify(doc.meta.summary)))
  end
  for _, path in ipairs(chosen) do
    for _, block in ipairs(adopted(path, pages, man and #chosen == 1)) do
      table.insert(blocks, block)
    end
  end
  return pandoc.Pandoc(blocks, doc.meta)
end
