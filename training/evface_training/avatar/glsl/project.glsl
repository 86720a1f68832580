uniform mat3 rotation;      // head to camera coordinates
uniform vec3 translation;
uniform vec2 scale;         // 2 focal / size
vec4 project(vec3 head) {
    vec3 p = rotation * head + translation;
    const float near = 40.0, far = 4000.0;
    float depth = (far + near) / (far - near) * p.z - 2.0 * far * near / (far - near);
    return vec4(scale * p.xy, depth, p.z);
}
