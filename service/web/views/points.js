// Many points, or the thumbnails in their places, drawn by WebGL 2.
//
// Our own, and not a library: those that are kept well either compile their shaders' callers from text (regl, and so
// regl-scatterplot; PixiJS), which the page's policy forbids, or bring a megabyte (deck.gl) for what is two shaders here.

const VERTEX = `#version 300 es
in vec2 place;
in vec4 tint;
uniform vec2 scale, shift;
uniform float size;
uniform int first;
out vec4 colour;
flat out int cell;
void main() {
  gl_Position = vec4(place * scale + shift, 0.0, 1.0);
  gl_PointSize = size * (tint.a > 0.5 ? 1.0 : 0.7);
  colour = tint;
  cell = gl_VertexID - first;
}`;

const FRAGMENT = `#version 300 es
precision mediump float;
in vec4 colour;
flat in highp int cell;
uniform bool pictured;
uniform sampler2D atlas;
uniform vec2 cells;
out vec4 pixel;
void main() {
  vec2 at = gl_PointCoord;
  if (pictured) {
    vec2 edge = abs(at - 0.5);
    bool inside = max(edge.x, edge.y) < 0.44;
    int columns = int(cells.x);
    vec2 grid = vec2(float(cell % columns), float(cell / columns));
    vec4 picture = texture(atlas, (grid + clamp((at - 0.06) / 0.88, 0.02, 0.98)) / cells);
    pixel = inside ? vec4(picture.rgb, 1.0) : vec4(colour.rgb, 1.0);
    pixel *= colour.a > 0.5 ? 1.0 : 0.25;
    return;
  }
  float far = length(at - 0.5) * 2.0;
  float cover = 1.0 - smoothstep(0.8, 1.0, far);
  pixel = vec4(colour.rgb, 1.0) * cover * colour.a;
}`;

function compile(gl, kind, source) {
  const shader = gl.createShader(kind);
  gl.shaderSource(shader, source);
  gl.compileShader(shader);
  if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(shader));
  return shader;
}

function link(gl) {
  const program = gl.createProgram();
  gl.attachShader(program, compile(gl, gl.VERTEX_SHADER, VERTEX));
  gl.attachShader(program, compile(gl, gl.FRAGMENT_SHADER, FRAGMENT));
  gl.bindAttribLocation(program, 0, "place");
  gl.bindAttribLocation(program, 1, "tint");
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program));
  return program;
}

/**
 * Room for `count` points on a canvas; null where the browser has no WebGL 2.
 *
 * `place(first, points)` puts points, (2 n) uint16, from `first` on. `tint(colours)` gives all their colours, (4 count)
 * uint8, where an alpha below one half marks those in the background. `picture(first, bitmap, side)` gives the points from
 * `first` on their thumbnails, squares of `side` pixels row by row. `draw({scale, shift, size, pictured})` draws: places in [0, 1] times `scale` plus `shift`
 * are clip space, `size` is in device pixels.
 */
export function open(canvas, count) {
  const gl = canvas.getContext("webgl2", { antialias: false, premultipliedAlpha: true });
  if (!gl) return null;
  const program = link(gl);
  gl.useProgram(program);
  const uniform = Object.fromEntries(
    ["scale", "shift", "size", "first", "pictured", "atlas", "cells"].map((name) => [name, gl.getUniformLocation(program, name)]),
  );
  const places = gl.createBuffer();
  gl.bindBuffer(gl.ARRAY_BUFFER, places);
  gl.bufferData(gl.ARRAY_BUFFER, count * 4, gl.STATIC_DRAW);
  gl.vertexAttribPointer(0, 2, gl.UNSIGNED_SHORT, true, 0, 0);
  gl.enableVertexAttribArray(0);
  const tints = gl.createBuffer();
  gl.bindBuffer(gl.ARRAY_BUFFER, tints);
  gl.bufferData(gl.ARRAY_BUFFER, count * 4, gl.STATIC_DRAW);
  gl.vertexAttribPointer(1, 4, gl.UNSIGNED_BYTE, true, 0, 0);
  gl.enableVertexAttribArray(1);
  gl.enable(gl.BLEND);
  gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
  const tiles = []; // {first, number, atlas, cells}

  return {
    place(first, points) {
      gl.bindBuffer(gl.ARRAY_BUFFER, places);
      gl.bufferSubData(gl.ARRAY_BUFFER, first * 4, points);
      tiles.push({ first, number: points.length / 2, atlas: null });
    },
    tint(colours) {
      gl.bindBuffer(gl.ARRAY_BUFFER, tints);
      gl.bufferSubData(gl.ARRAY_BUFFER, 0, colours);
    },
    picture(first, bitmap, side) {
      const atlas = gl.createTexture();
      gl.bindTexture(gl.TEXTURE_2D, atlas);
      gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, bitmap);
      for (const name of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) gl.texParameteri(gl.TEXTURE_2D, name, gl.CLAMP_TO_EDGE);
      gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.LINEAR);
      Object.assign(
        tiles.find((tile) => tile.first === first),
        { atlas, cells: [bitmap.width / side, bitmap.height / side] },
      );
      bitmap.close();
    },
    draw({ scale, shift, size, pictured }) {
      gl.viewport(0, 0, canvas.width, canvas.height);
      gl.clearColor(0, 0, 0, 0);
      gl.clear(gl.COLOR_BUFFER_BIT);
      gl.uniform2f(uniform.scale, ...scale);
      gl.uniform2f(uniform.shift, ...shift);
      gl.uniform1f(uniform.size, size);
      for (const { first, number, atlas, cells } of tiles) {
        gl.uniform1i(uniform.first, first);
        gl.uniform1i(uniform.pictured, Number(pictured && atlas !== null));
        if (atlas) {
          gl.bindTexture(gl.TEXTURE_2D, atlas);
          gl.uniform2f(uniform.cells, ...cells);
        }
        gl.drawArrays(gl.POINTS, first, number);
      }
    },
  };
}
