// Writes the part of the AWS provider's schema that terraform/ uses, in the form of `terraform providers schema -json`. It is taken from
// HashiCorp's own bindings, which are generated from the provider's schema, attribute by attribute: @cdktf/provider-aws 21.22.1 is that of
// provider 6.25.0.
//
//   npm pack @cdktf/provider-aws@21.22.1 && tar xzf cdktf-provider-aws-21.22.1.tgz
//   node cut.mjs package ../../terraform > ../../terraform/schema/aws.json
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

const [bindings, terraform] = process.argv.slice(2);

const used = { resource: new Set(), data: new Set() };
const walk = (dir) => {
  for (const entry of readdirSync(dir, { withFileTypes: true })) {
    if (entry.name.startsWith('.')) continue;
    if (entry.isDirectory()) walk(join(dir, entry.name));
    else if (entry.name.endsWith('.tf'))
      for (const [, kind, type] of readFileSync(join(dir, entry.name), 'utf8').matchAll(/^(resource|data) "(aws_\w+)"/gm)) used[kind].add(type);
  }
};
walk(terraform);

// A class of the bindings: what may be set with its kind, what must be set, and what can be read.
const snake = (name) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

function attributesOf(text) {
  const attributes = {};
  const blocks = {};
  const pattern = /^\s+(\w+): \{\n\s+value: ([^\n]*),\n\s+isBlock: (true|false),\n\s+type: "(\w+)",\n\s+storageClassType: "(\w+)",\n\s+\},/gm;
  for (const [, name, value, isBlock, type, storage] of text.matchAll(pattern)) {
    if (isBlock === 'true') blocks[name] = { nesting: type === 'struct' ? 'single' : type, function: /(\w+)ToHclTerraform/.exec(value)[1] };
    else attributes[name] = { type: kind(type, storage), optional: true };
  }
  return { attributes, blocks };
}

function kind(type, storage) {
  const simple = { string: 'string', number: 'number', boolean: 'bool', stringList: 'string', numberList: 'number', booleanList: 'bool', stringMap: 'string' }[storage] ?? 'dynamic';
  return type === 'simple' ? simple : [type === 'struct' ? 'object' : type, simple === 'dynamic' ? 'dynamic' : simple];
}

function body(text, from) {
  const start = text.indexOf(from);
  if (start < 0) throw new Error(`no ${from}`);
  return text.slice(start, text.indexOf('\n}', start));
}

// What an interface requires: a field without a question mark.
function required(types, name) {
  const found = new RegExp(`export interface ${name}(?: extends [\\w.]+)? \\{([\\s\\S]*?)\\n\\}`).exec(types);
  return found ? [...found[1].matchAll(/^\s+readonly (\w+)(\??):/gm)].filter(([, , optional]) => !optional).map(([, field]) => field) : [];
}

const camel = (name) => name.replace(/_(\w)/g, (_, letter) => letter.toUpperCase());

function block(code, types, attributes, blocks, interfaceName, depth) {
  const must = new Set(required(types, interfaceName));
  for (const [name, attribute] of Object.entries(attributes))
    if (must.has(camel(name))) Object.assign(attribute, { optional: undefined, required: true });
  const block_types = {};
  for (const [name, b] of Object.entries(blocks)) {
    const inner = attributesOf(body(code, `function ${b.function}ToHclTerraform(`));
    const type = b.function[0].toUpperCase() + b.function.slice(1);
    block_types[name] = {
      nesting_mode: b.nesting,
      ...(must.has(camel(name)) ? { min_items: 1 } : {}),
      block: depth > 8 ? {} : block(code, types, inner.attributes, inner.blocks, type, depth + 1),
    };
  }
  return { attributes, block_types };
}

function schema(type, isData) {
  const folder = (isData ? 'data-aws-' : '') + type.slice(4).replaceAll('_', '-');
  const at = join(bindings, 'lib', folder);
  const code = readFileSync(join(at, 'index.js'), 'utf8');
  const types = readFileSync(join(at, 'index.d.ts'), 'utf8');
  const name = /^export declare class (\w+) extends cdktf\.Terraform(?:Resource|DataSource)/m.exec(types)[1];
  const own = code.slice(code.indexOf(`class ${name} extends`));
  const { attributes, blocks } = attributesOf(own.slice(own.indexOf('synthesizeHclAttributes()')));
  // What can only be read: a getter for which nothing can be set.
  const declared = types.slice(types.indexOf(`export declare class ${name} extends`));
  for (const [, field] of declared.matchAll(/^\s+get (\w+)\(\)/gm)) {
    const attribute = snake(field).replace(/_(\d)/g, '$1');
    if (!(attribute in attributes) && !(attribute in blocks) && !attribute.endsWith('_input')) attributes[attribute] = { type: 'dynamic', computed: true };
  }
  return { version: 0, block: block(code, types, attributes, blocks, `${name}Config`, 0) };
}

const sorted = (types, isData) => Object.fromEntries([...types].sort().map((type) => [type, schema(type, isData)]));
const version = /terraform-provider-aws|aws", "version": "([\d.]+)"/.exec(readFileSync(join(bindings, 'package.json'), 'utf8').replace(/\s+/g, ' '))?.[1];
console.log(
  JSON.stringify({
    format_version: '1.0',
    provider_version: version,
    provider_schemas: {
      'registry.terraform.io/hashicorp/aws': { resource_schemas: sorted(used.resource, false), data_source_schemas: sorted(used.data, true) },
    },
  }, null, 0).replaceAll('"aws_', '\n"aws_'),
);
